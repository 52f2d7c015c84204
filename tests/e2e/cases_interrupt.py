"""drover killed in the middle: forward with --resume, or back with rollback."""
import glob
import os
import shutil
import signal
import subprocess
import time

from bench import Skip

KILL_SECONDS = 120
# What puts folders in place must not replace any, which only this call can promise.
SWITCH_RENAMES = "renameat2"


def killed(bench, source, target, lines):
    """Starts a migration and kills it when its journal has that many lines."""
    bench.take_source(source)
    path = os.path.join(bench.place.run, "killed.log")
    with open(path, "wb") as log:
        process = subprocess.Popen(
            bench.command("migrate", "--to", target, "--yes", "--progress", "plain"),
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
        )
    deadline = time.monotonic() + KILL_SECONDS
    while journal_lines(bench) < lines and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.001)  # between two looks at the journal, which is the condition
    process.send_signal(signal.SIGKILL)
    if process.wait() != -signal.SIGKILL:
        with open(path) as text:
            raise AssertionError(
                "ended with %d and %d journal lines before it could be killed: %s"
                % (process.returncode, journal_lines(bench), text.read().strip()[-400:])
            )
    if journal_lines(bench) < lines:
        raise AssertionError("no %d journal lines in %d seconds" % (lines, KILL_SECONDS))


def journal_lines(bench):
    count = 0
    for path in glob.glob(os.path.join(bench.place.root, "drover/*/journal")):
        with open(path, "rb") as file:
            count += file.read().count(b"\n")
    return count


def resume(bench, source, target, lines):
    killed(bench, source, target, lines)
    ran = bench.drover("migrate", "--to", target, "--yes", expect=11)
    if "--resume" not in ran.err or "rollback" not in ran.err:
        raise AssertionError("does not name both ways on: %s" % ran.err)
    bench.drover("migrate", "--resume", "--yes", "--progress", "plain")
    bench.drover("verify")
    bench.check_all(bench.before, target)


def roll_back(bench, source, target, lines):
    """Killed while staging: the engine still starts on the old root; then back, then there after all."""
    killed(bench, source, target, lines)
    config = bench.config_bytes()
    bench.check_all(bench.before, bench.driver)
    bench.drover("rollback", "--yes")
    if bench.config_bytes() != config:
        raise AssertionError("the engine's config is not what it was")
    bench.check_all(bench.before, bench.driver)
    bench.drover("migrate", "--to", target, "--yes")
    bench.check_all(bench.before, target)


def dies_at_rename(bench, number, *arguments, renames="rename,renameat,renameat2", flags=True):
    """Runs drover until its main thread's nth rename, which is not done. False: it ended before that. Each of
    the system calls is counted for itself. Without `flags`: on a filesystem that knows plain renames only, as zfs
    before 2.2."""
    if not flags:
        renames = "rename,renameat"
    done = subprocess.run(
        [
            "strace",
            "-qq",
            "-f",
            "-o",
            os.path.join(bench.place.run, "strace"),
            "-e",
            "trace=rename,renameat,renameat2",
            "-e",
            "inject=%s:signal=SIGKILL:when=%d" % (renames, number),
            *([] if flags else ["-e", "inject=renameat2:error=EINVAL"]),
            *bench.command(*arguments),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
    )
    print(
        "$ drover %s\nkilled at rename %d: exit %d\n%s"
        % (" ".join(arguments), number, done.returncode, done.stdout.decode("utf-8", "replace")),
        flush=True,
    )
    if done.returncode not in (0, -signal.SIGKILL, 128 + signal.SIGKILL):
        raise AssertionError(
            "drover %s ended with %d: %s"
            % (" ".join(arguments), done.returncode, done.stdout.decode("utf-8", "replace").strip()[-400:])
        )
    return done.returncode != 0


def each_rename_forward(bench, source, target):
    """Killed while staging, then at the first, second, third ... rename of each resume."""
    require_strace()
    killed(bench, source, target, 20)
    die_at_every_rename(bench, "migrate", "--resume", "--yes")
    bench.check_all(bench.before, target)


def each_rename_back(bench, source, target):
    """Killed at the switch's last rename, then at every rename of the way back."""
    require_strace()
    bench.take_source(source)
    config = bench.config_bytes()
    last = count_renames(bench, target)
    bench.drover("rollback", "--yes")
    if not dies_at_rename(bench, last, "migrate", "--to", target, "--yes", renames=SWITCH_RENAMES):
        raise AssertionError("ended before its %dth rename" % last)
    die_at_every_rename(bench, "rollback", "--yes")
    if bench.config_bytes() != config:
        raise AssertionError("the engine's config is not what it was")
    bench.check_all(bench.before, bench.driver)


def plain_renames(bench, source, target):
    """There and back where renames take no flags, killed at each of them."""
    require_strace()
    killed(bench, source, target, 20)
    die_at_every_rename(bench, "migrate", "--resume", "--yes", flags=False)
    bench.check_all(bench.before, target)
    die_at_every_rename(bench, "rollback", "--yes", flags=False)
    bench.check_all(bench.before, bench.driver)


def require_strace():
    if shutil.which("strace") is None:
        raise Skip("no strace, which kills a process at a given system call (Debian's package strace)")


def die_at_every_rename(bench, *way, flags=True):
    for number in range(1, 61):
        if not dies_at_rename(bench, number, *way, flags=flags):
            return
    raise AssertionError("drover %s never comes to an end" % " ".join(way))


def count_renames(bench, target):
    """Of a whole migration."""
    log = os.path.join(bench.place.run, "strace")
    subprocess.run(
        [
            "strace",
            "-qq",
            "-f",
            "-o",
            log,
            "-e",
            "trace=" + SWITCH_RENAMES,
            *bench.command("migrate", "--to", target, "--yes"),
        ],
        check=True,
        stdin=subprocess.DEVNULL,
    )
    with open(log) as file:
        # A call during which another thread spoke has a second line: "<... renameat2 resumed>".
        threads = [line.split()[0] for line in file if "rename" in line and " resumed>" not in line]
    return threads.count(threads[-1])


def cases():
    found = []
    for source, target, lines in (
        ("overlay2@ext4", "vfs", 40),
        ("vfs@xfs", "overlay2", 20),
        ("btrfs@btrfs", "overlay2", 60),
        ("overlay2@btrfs", "btrfs", 5),
    ):
        found.append(
            (
                "kill/resume/%s-to-%s" % (source, target),
                source,
                lambda bench, s=source, t=target, n=lines: resume(bench, s, t, n),
            )
        )
    for source, target, lines in (("overlay2@xfs", "vfs", 60), ("overlay2@btrfs", "btrfs", 30)):
        found.append(
            (
                "kill/rollback/%s-to-%s" % (source, target),
                source,
                lambda bench, s=source, t=target, n=lines: roll_back(bench, s, t, n),
            )
        )
    found.append(
        (
            "kill/each-rename/forward",
            "overlay2@btrfs",
            lambda bench: each_rename_forward(bench, "overlay2@btrfs", "btrfs"),
        )
    )
    found.append(
        (
            "kill/each-rename/back",
            "btrfs@btrfs",
            lambda bench: each_rename_back(bench, "btrfs@btrfs", "overlay2"),
        )
    )
    found.append(
        (
            "kill/each-rename/plain",
            "overlay2@btrfs",
            lambda bench: plain_renames(bench, "overlay2@btrfs", "btrfs"),
        )
    )
    return found
