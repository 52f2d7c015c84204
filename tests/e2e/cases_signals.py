"""Signals, closed streams, a terminal that is gone: a tidy stop that says in what state things are, and a way on."""
import os
import pty
import signal
import subprocess

from bench import fingerprint, require_equal
from cases_together import TO_VFS, go_on, stopped, what_it_said

INTERRUPTED = 130


def interrupted(bench, process, number):
    process.send_signal(number)
    go_on(bench, process, expect=INTERRUPTED)
    said = what_it_said(bench)
    if not any(line.startswith("drover: ") and line.endswith("interrupted") for line in said.splitlines()):
        raise AssertionError("does not say that it was interrupted: %s" % said)
    if "hint: " not in said:
        raise AssertionError("does not say what to do: %s" % said)
    return said


def while_staging(bench, source, number):
    bench.take_source(source)
    said = interrupted(bench, stopped(bench, 500, *TO_VFS), number)
    if "--resume" not in said or "rollback" not in said:
        raise AssertionError("does not name both ways on: %s" % said)
    bench.check_all(bench.before, bench.driver)
    bench.drover("migrate", "--resume", "--yes")
    bench.check_all(bench.before, "vfs")


def twice(bench, source):
    """The second one ends it at once, as a kill would."""
    bench.take_source(source)
    process = stopped(bench, 500, *TO_VFS)
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGCONT)
    process.send_signal(signal.SIGINT)
    code = process.wait(60)
    if code not in (-signal.SIGINT, INTERRUPTED):
        raise AssertionError("ended with %d: %s" % (code, what_it_said(bench)))
    bench.drover("rollback", "--yes")
    bench.check_all(bench.before, bench.driver)


def while_removing(bench, source, command):
    """Of commit and rollback: the same command goes on."""
    bench.take_source(source)
    bench.drover(*TO_VFS)
    said = interrupted(bench, stopped(bench, 60, command, "--yes"), signal.SIGTERM)
    if "drover " + command not in said:
        raise AssertionError("does not name `drover %s`: %s" % (command, said))
    bench.drover(command, "--yes")
    bench.check_all(bench.before, "vfs" if command == "commit" else bench.driver)
    if os.path.exists(os.path.join(bench.place.root, "drover")):
        raise AssertionError("something is left")


def waiting_for_input(bench, source):
    """An import that waits for the rest of an archive, which does not come."""
    bench.take_source(source)
    archive = os.path.join(bench.place.disk, "all.drover")
    bench.drover("export", "-o", archive, "--progress", "none")
    process = subprocess.Popen(
        bench.command("import", "--progress", "plain", "--on-conflict", "skip"),
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    with open(archive, "rb") as file:
        process.stdin.write(file.read(60000))  # less than a pipe holds
    process.stdin.flush()
    line = process.stderr.readline()
    if not line.startswith(b"reading "):
        raise AssertionError("says %r before it reads on" % line)
    process.send_signal(signal.SIGINT)
    said = process.stderr.read().decode()
    if process.wait(60) != INTERRUPTED or "interrupted" not in said or "hint: " not in said:
        raise AssertionError("exit %d: %s" % (process.returncode, said))
    if os.path.exists(os.path.join(bench.place.root, "drover")):
        raise AssertionError("something is left")
    os.unlink(archive)
    bench.check_all(bench.before, bench.driver)


def closed_streams(bench, source):
    """What it prints must not go into the files that it opens."""
    bench.take_source(source)
    program = bench.command(*TO_VFS)

    def close_all():
        for descriptor in (0, 1, 2):
            os.close(descriptor)

    code = subprocess.Popen(program, preexec_fn=close_all).wait(300)
    if code != 0:
        raise AssertionError("exit %d" % code)
    bench.drover("verify")
    bench.check_all(bench.before, "vfs")


def reader_gone(bench, source):
    """Who does not read what it prints does not stop it."""
    bench.take_source(source)
    reading, writing = os.pipe()
    process = subprocess.Popen(
        bench.command("migrate", "--to", "vfs", "--yes", "--progress", "plain"),
        stdin=subprocess.DEVNULL,
        stdout=writing,
        stderr=writing,
    )
    os.close(writing)
    os.close(reading)
    if process.wait(300) != 0:
        raise AssertionError("exit %d" % process.returncode)
    bench.check_all(bench.before, "vfs")


def export_reader_gone(bench, source):
    """Of an archive that goes into a pipe: what is not whole was not done."""
    bench.take_source(source)
    before = fingerprint(bench.place)
    for taken in (0, 1 << 20):  # more than a pipe holds, and less than the archive has
        process = subprocess.Popen(
            bench.command("export", "--compress", "none", "--progress", "none"),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        if len(process.stdout.read(taken)) != taken:
            raise AssertionError("the archive ends before its byte %d" % taken)
        process.stdout.close()
        said = process.stderr.read().decode()
        if process.wait(300) != 1 or said != "drover: cannot write standard output: broken pipe\n":
            raise AssertionError("after %d bytes: exit %d: %s" % (taken, process.returncode, said))
        require_equal(before, fingerprint(bench.place), "an export that failed has changed")
    bench.check_all(bench.before, bench.driver)


def full_disk_behind_output(bench, source):
    """What was asked for is the text: where that is not whole, it was not done."""
    bench.take_source(source)
    for words in (("info",), ("info", "--format", "json"), ("migrate", "--to", "vfs", "--dry-run")):
        with open("/dev/full", "w") as full:
            done = subprocess.run(
                bench.command(*words),
                stdin=subprocess.DEVNULL,
                stdout=full,
                stderr=subprocess.PIPE,
                timeout=300,
            )
        if done.returncode != 1 or b"cannot write all of the output" not in done.stderr:
            raise AssertionError("%s: exit %d: %r" % (" ".join(words), done.returncode, done.stderr))
    bench.check_all(bench.before, bench.driver)


def terminal_gone(bench, source):
    """The window is closed in the middle: SIGHUP, and no terminal to print on."""
    bench.take_source(source)
    child, terminal = pty.fork()
    if child == 0:
        words = [bench.faults_binary(), *bench.command(*TO_VFS)[1:]]
        os.execve(words[0], words, dict(os.environ, DROVER_FAULT="stop@500"))
    _, status = os.waitpid(child, os.WUNTRACED)
    if not os.WIFSTOPPED(status):
        raise AssertionError("ended: %d" % status)
    os.close(terminal)
    os.kill(child, signal.SIGCONT)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    if code != INTERRUPTED:
        raise AssertionError("ended with %d" % code)
    bench.check_all(bench.before, bench.driver)
    bench.drover("migrate", "--resume", "--yes")
    bench.check_all(bench.before, "vfs")


def cases():
    source = "overlay2@ext4"
    found = [
        (
            "signals/staging/" + number.name,
            source,
            lambda bench, n=number: while_staging(bench, source, n),
        )
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    ]
    for command in ("commit", "rollback"):
        found.append(
            ("signals/" + command, source, lambda bench, c=command: while_removing(bench, source, c))
        )
    for name, function in (
        ("twice", twice),
        ("waiting-for-input", waiting_for_input),
        ("closed-streams", closed_streams),
        ("reader-gone", reader_gone),
        ("export-reader-gone", export_reader_gone),
        ("full-disk-behind-output", full_disk_behind_output),
        ("terminal-gone", terminal_gone),
    ):
        found.append(("signals/" + name, source, lambda bench, f=function: f(bench, source)))
    return found
