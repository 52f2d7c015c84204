"""Two drovers, and drover beside an engine that starts at any time. One drover stands still where it is told to
(tests/faults), so that nothing is left to chance."""
import os
import signal
import subprocess
import threading

import machine
from bench import require_equal
from engine import EngineError

TO_VFS = ("migrate", "--to", "vfs", "--yes", "--progress", "none")


def stopped(bench, change, *arguments, command=None):
    """A drover that stands still after that change (its number, or "CALL:PART"), with the lock that it has."""
    words = [bench.faults_binary(), *(command or bench.command(*arguments))[1:]]
    log = open(os.path.join(bench.place.run, "stopped.log"), "wb")
    with log:
        process = subprocess.Popen(
            words,
            env=dict(os.environ, DROVER_FAULT="stop@%s" % change),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    _, status = os.waitpid(process.pid, os.WUNTRACED)
    if not os.WIFSTOPPED(status):
        raise AssertionError("ended before its change %s: %s" % (change, what_it_said(bench)))
    return process


def what_it_said(bench):
    with open(os.path.join(bench.place.run, "stopped.log"), errors="replace") as log:
        return log.read().strip()[-600:]


def go_on(bench, process, expect=0):
    process.send_signal(signal.SIGCONT)
    code = process.wait(300)
    if code != expect:
        raise AssertionError("ended with %d: %s" % (code, what_it_said(bench)))


def count_changes(bench, *arguments):
    """Of a whole run; the data root is as after it."""
    log = os.path.join(bench.place.run, "changes")
    done = subprocess.run(
        [bench.faults_binary(), *bench.command(*arguments)[1:]],
        env=dict(os.environ, DROVER_FAULT_LOG=log),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    if done.returncode != 0:
        raise AssertionError("exit %d: %s" % (done.returncode, done.stdout.decode("utf-8", "replace")[-600:]))
    with open(log, "rb") as file:
        return file.read().count(b"\n")


def second_drover(bench, source, where):
    """Whatever a second one is told to do while the first is at work, it refuses or only looks."""
    bench.take_source(source)
    change = 3
    if where == "staging":
        change = count_changes(bench, *TO_VFS) // 2
        bench.drover("rollback", "--yes")
    elif where == "switching":
        change = "renameat2:/image/vfs"  # the new records are in place, and all else of the old setup
    process = stopped(bench, change, *TO_VFS)
    if where == "switching" and not os.path.exists(os.path.join(bench.place.root, "overlay2")):
        raise AssertionError("the switch is over")
    for words in (
        TO_VFS,
        ("migrate", "--resume", "--yes"),
        ("rollback", "--yes"),
        ("commit", "--yes"),
        ("import", "-i", "/dev/null"),
        ("export", "-o", "/dev/null"),
    ):
        ran = bench.drover(*words, expect=None)
        if ran.code not in (1, 11) or "drover: " not in ran.err:
            raise AssertionError("a second `drover %s`: %s" % (" ".join(words), ran))
    bench.drover("info")
    go_on(bench, process)
    bench.check_all(bench.before, "vfs")


def engine_starts_once(bench, source):
    """It does not get the data root, says so, and nothing is the worse for it."""
    bench.take_source(source)
    process = stopped(bench, 400, *TO_VFS)
    try:
        bench.engine.start()
    except EngineError as error:
        print("the engine: %s" % error, flush=True)
    else:
        raise AssertionError("an engine started beside drover")
    go_on(bench, process)
    bench.check_all(bench.before, "vfs")


def engine_keeps_starting(bench, source, back):
    """As systemd would start it again and again, from before the switch to after its end."""
    bench.take_source(source)
    words = TO_VFS
    if back:
        bench.drover(*TO_VFS)
        words = ("rollback", "--yes")
    process = stopped(bench, 2, *words)
    over = threading.Event()
    starts = []

    def keep_starting():
        while not over.is_set():
            engine = type(bench.engine)(bench.place)
            try:
                engine.start()
            except EngineError as error:
                starts.append(str(error))
                continue
            starts.append("started")
            engine.stop()
            return

    starter = threading.Thread(target=keep_starting)
    starter.start()
    try:
        go_on(bench, process)
    finally:
        over.set()
        starter.join()
    print("the engine was started %d times: %s" % (len(starts), starts[-1:]), flush=True)
    if not starts:
        raise AssertionError("no engine was started meanwhile")
    bench.check_all(bench.before, bench.driver if back else "vfs")


def two_moves(bench, source):
    """From two data roots into one new one: one of them has it, wherever the first stands still."""
    bench.take_source(source)
    other = os.path.join(bench.place.disk, "other")
    machine.run("cp", "-a", bench.place.root, other)
    new = os.path.join(bench.place.disk, "new")
    config = bench.config_bytes()
    for number in (1, 4, 8, 12, 20, 40):
        one = stopped(bench, number, "migrate", "--to-root", new, "--yes", "--progress", "none")
        second = [bench.drover_binary(), "--data-root", other, "--config", bench.place.config]
        done = subprocess.run(
            [*second, "migrate", "--to-root", new, "--yes", "--progress", "none"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        one.send_signal(signal.SIGCONT)
        first = one.wait(300)
        said = "first %d, second %d: %s" % (first, done.returncode, done.stdout.decode("utf-8", "replace"))
        print("change %d: %s" % (number, said), flush=True)
        if sorted((first == 0, done.returncode == 0)) != [False, True]:
            raise AssertionError("after change %d: %s | %s" % (number, said, what_it_said(bench)))
        winner = bench.place.root if first == 0 else other
        loser = other if first == 0 else bench.place.root
        if os.path.exists(os.path.join(loser, "drover")):
            raise AssertionError("the one that was refused has left something")
        machine.run(
            bench.drover_binary(), "--data-root", winner, "--config", bench.place.config, "rollback", "--yes"
        )
        require_equal(config, bench.config_bytes(), "the configuration:")
        if os.path.exists(new) and os.listdir(new):
            raise AssertionError("a rollback leaves in the new root: %s" % os.listdir(new))
    bench.check_all(bench.before, bench.driver)


def cases():
    found = [
        (
            "together/second-drover/" + where,
            "overlay2@ext4",
            lambda b, w=where: second_drover(b, "overlay2@ext4", w),
        )
        for where in ("begin", "staging", "switching")
    ]
    found.append(
        ("together/engine-starts", "overlay2@ext4", lambda b: engine_starts_once(b, "overlay2@ext4"))
    )
    for name, back in (("forward", False), ("back", True)):
        found.append(
            (
                "together/engine-keeps-starting/" + name,
                "overlay2@ext4",
                lambda b, k=back: engine_keeps_starting(b, "overlay2@ext4", k),
            )
        )
    found.append(("together/two-moves", "overlay2@ext4", lambda b: two_moves(b, "overlay2@ext4")))
    return found
