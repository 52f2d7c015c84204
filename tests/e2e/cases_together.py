"""Two drovers, and drover beside an engine that starts at any time. One drover stands still where it is told to
(tests/faults), so that nothing is left to chance."""
import concurrent.futures
import os
import shutil
import signal
import subprocess
import threading

import machine
from bench import Skip, fingerprint, require_equal
from engine import EngineError

TO_VFS = ("migrate", "--to", "vfs", "--yes", "--progress", "none")
# Changes of a switch, on the way there and on the way back: what is the next one's stays to be done.
BEFORE_HOLD = "fsync:/.daemon.json.drover-new"
HOLD = "renameat2:/daemon.json"
IN_USE = 11
# What an engine says that is refused.
HELD = "drover is moving this host's data"
LOCKED = "error while opening volume store metadata database: timeout"


def stopped(bench, change, *arguments, command=None, output=None):
    """A drover that stands still after that change (its number, or "CALL:PART"), with the lock that it has. What it
    prints is in a log, unless it is to go elsewhere."""
    words = [bench.faults_binary(), *(command or bench.command(*arguments))[1:]]
    with open(os.path.join(bench.place.run, "stopped.log"), "wb") as log:
        process = subprocess.Popen(
            words,
            env=dict(os.environ, DROVER_FAULT="stop@%s" % change),
            stdin=subprocess.DEVNULL,
            stdout=log if output is None else output,
            stderr=log if output is None else output,
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
    """Whatever a second one is told to do while the first is at work, it refuses, and nothing on the disk changes; or
    it only looks."""
    bench.take_source(source)
    archive, other = (os.path.join(bench.place.run, name) for name in ("edits.drover", "other.drover"))
    bench.drover("export", "-o", archive, "--progress", "none", "edits")
    ends_as = "vfs"
    if where in ("rolling back", "committing"):
        bench.drover(*TO_VFS)
    if where == "begin":
        process = stopped(bench, 3, *TO_VFS)
    elif where == "staging":
        change = count_changes(bench, *TO_VFS) // 2
        bench.drover("rollback", "--yes")
        process = stopped(bench, change, *TO_VFS)
    elif where == "switching":  # the new records are in place, and all else of the old setup
        process = stopped(bench, "renameat2:/image/vfs", *TO_VFS)
        if not os.path.exists(os.path.join(bench.place.root, "overlay2")):
            raise AssertionError("the switch is over")
    elif where == "rolling back":
        process = stopped(bench, "renameat2:/image/overlay2", "rollback", "--yes")
        ends_as = bench.driver
    else:
        process = stopped(bench, 60, "commit", "--yes")
    before = fingerprint(bench.place)
    # To a commit there is no migration before the journal's first word.
    commit = [] if where == "begin" else [("commit", "--yes")]
    for words in (
        TO_VFS,
        ("migrate", "--to", "fuse-overlayfs", "--yes"),
        ("migrate", "--resume", "--yes"),
        ("rollback", "--yes"),
        *commit,
        # Of a valid archive, and to a place that can be written.
        ("import", "-i", archive, "--on-conflict", "rename"),
        ("export", "-o", other, "edits"),
    ):
        ran = bench.drover(*words, expect=IN_USE)
        # By the data root's lock or by that of the migration's folder; that a migration is open would be said without
        # any, but a commit that goes on is asked after first.
        locked = "is in use by" in ran.err or "another drover is at work" in ran.err
        if not locked and where != "committing":
            raise AssertionError("a second `drover %s`: %s" % (" ".join(words), ran))
    bench.drover("info")
    require_equal(before, fingerprint(bench.place), "beside a second drover there are")
    if os.path.exists(other):
        raise AssertionError("the export that was refused has left a file")
    go_on(bench, process)
    bench.check_all(bench.before, ends_as)


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


def start_once(bench, starts, driver):
    """Writes down what comes of it; true if it comes up, which must be with everything, and under this driver."""
    try:
        bench.engine.start()
    except EngineError as error:
        starts.append(str(error))
        return False
    starts.append("came up under " + bench.engine.api("/info")["Driver"])
    bench.check_running_engine_shows(bench.before, driver)
    bench.engine.stop()
    return True


def require_refused(starts, *reasons):
    """The last start, for one of these reasons."""
    if not any(reason in starts[-1] for reason in reasons):
        raise AssertionError("an engine beside drover: " + starts[-1])


def switch_to_cut(bench, source, back):
    """The command, and the driver that is there when it has ended."""
    bench.take_source(source)
    if not back:
        return TO_VFS, "vfs"
    bench.drover(*TO_VFS)
    return ("rollback", "--yes"), bench.driver


def engine_keeps_starting(bench, source, back):
    """As systemd would start it again and again, from the middle of the switch to after its end."""
    words, driver = switch_to_cut(bench, source, back)
    process = stopped(bench, HOLD, *words)
    starts = []
    start_once(bench, starts, driver)
    require_refused(starts, HELD)

    over = threading.Event()

    def keep_starting():
        while True:
            is_last = over.is_set()
            if start_once(bench, starts, driver):
                return
            require_refused(starts, HELD, LOCKED)
            if is_last:
                raise AssertionError("no engine comes up: " + starts[-1])

    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        starter = pool.submit(keep_starting)
        try:
            go_on(bench, process)
        finally:
            over.set()
        starter.result()
    print("\n".join("start %d: %s" % one for one in enumerate(starts, 1)), flush=True)
    bench.check_all(bench.before, driver)


def engine_was_starting(bench, source, back):
    """It has read the configuration of before the switch, and asks for the data root when all else of the switch is
    done: it must not get it, or would make an empty store of its own."""
    words, driver = switch_to_cut(bench, source, back)
    reading, writing = os.pipe()
    process = stopped(bench, BEFORE_HOLD, *words, output=writing)
    os.close(writing)
    config_read = machine.ReadWatch(bench.place.config)
    engine = bench.engine.begin()
    config_read.wait(60)
    engine.send_signal(signal.SIGSTOP)
    _, status = os.waitpid(engine.pid, os.WUNTRACED)
    if not os.WIFSTOPPED(status):
        raise AssertionError("the engine has ended before it was told to stand still")
    process.send_signal(signal.SIGCONT)
    with open(reading, errors="replace") as said:
        waits = "waiting for dockerd (pid %d)" % engine.pid
        if not any(waits in line for line in said):
            raise AssertionError("drover has not waited for the engine")
        engine.send_signal(signal.SIGCONT)
        if bench.engine.join() == 0 or LOCKED not in bench.engine.last_log_line():
            raise AssertionError("the engine: " + bench.engine.last_log_line())
        rest = said.read()
    if process.wait(300) != 0:
        raise AssertionError("ended with %d: %s" % (process.returncode, rest))
    bench.check_all(bench.before, driver)


def start_by_socket(bench):
    """From here on the engine is started as systemd does it, by the first who connects; which the engine's first
    request is."""
    activate = shutil.which("systemd-socket-activate")
    if activate is None:
        raise Skip("no systemd-socket-activate (Debian's package systemd)")
    bench.engine.around = (activate, "-l", bench.engine.socket_path, *bench.engine.around)
    bench.engine.listens_at = "fd://"


def socket_while_staging(bench, source):
    bench.take_source(source)
    start_by_socket(bench)
    process = stopped(bench, 400, *TO_VFS)
    starts = []
    start_once(bench, starts, None)
    require_refused(starts, LOCKED)
    go_on(bench, process)
    bench.check_all(bench.before, "vfs")


def socket_on_hold(bench, source):
    """While drover stands in the switch, and after it was killed there."""
    bench.take_source(source)
    start_by_socket(bench)
    process = stopped(bench, HOLD, *TO_VFS)
    starts = []
    start_once(bench, starts, None)
    require_refused(starts, HELD)
    process.kill()
    process.wait()
    start_once(bench, starts, None)
    require_refused(starts, HELD)
    bench.drover("migrate", "--resume", "--yes")
    bench.check_all(bench.before, "vfs")


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
            "together/second-drover/" + where.replace(" ", "-"),
            "overlay2@ext4",
            lambda b, w=where: second_drover(b, "overlay2@ext4", w),
        )
        for where in ("begin", "staging", "switching", "rolling back", "committing")
    ]
    found.append(
        ("together/engine-starts", "overlay2@ext4", lambda b: engine_starts_once(b, "overlay2@ext4"))
    )
    for name, function in (("staging", socket_while_staging), ("hold", socket_on_hold)):
        found.append(
            ("together/socket/" + name, "overlay2@ext4", lambda b, f=function: f(b, "overlay2@ext4"))
        )
    for name, back in (("forward", False), ("back", True)):
        for of, function in (("keeps", engine_keeps_starting), ("was", engine_was_starting)):
            found.append(
                (
                    "together/engine-%s-starting/%s" % (of, name),
                    "overlay2@ext4",
                    lambda b, f=function, k=back: f(b, "overlay2@ext4", k),
                )
            )
    found.append(("together/two-moves", "overlay2@ext4", lambda b: two_moves(b, "overlay2@ext4")))
    return found
