"""What the cases in the test machine work with: a data root, an engine, drover, and a look at what is left behind."""
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import traceback

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "e2e"))
import engine  # noqa: E402
import fixture  # noqa: E402
import images  # noqa: E402
import machine  # noqa: E402
import observe  # noqa: E402
from layers import Archive, Layer  # noqa: E402

DROVER = os.path.abspath(sys.argv[1])
ON_OLD_KERNEL = os.path.join(os.path.dirname(DROVER), "tests", "on_old_kernel")
PLACE = machine.Place("/mnt/d", "/run/e2e", "/drover-e2e", "/run/dockerd.log")
WAIT_SECONDS = 900  # emulation on a busy host
GONE_SECONDS = 20
CONTAINERS = ("edits", "deletions", "recreated", "links", "special", "volume")
OVERRIDE_UDEV = "dm.override_udev_sync_check=true"  # nobody answers udev's cookies in there

engine.START_SECONDS = engine.STOP_SECONDS = WAIT_SECONDS


def run(*command, **options):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options)
    text = done.stdout.decode("utf-8", "replace").strip()
    if done.returncode != 0:
        raise AssertionError("%s: exit %d: %s" % (" ".join(command), done.returncode, text[-1500:]))
    return text


def partition(disk, *sizes):
    """Partitions of these sizes, the last of what is left if it is "+"; their devices."""
    run("sfdisk", "--quiet", "--wipe", "always", disk, input="".join("size=%s\n" % s for s in sizes).encode())
    return [disk + str(number) for number in range(1, len(sizes) + 1)]


# ---- the engine


@contextlib.contextmanager
def containerd():
    """The one that dockerd starts has 15 seconds to answer: too little in emulation on a busy host."""
    with open("/run/containerd.toml", "w") as config:
        config.write('version = 2\ndisabled_plugins = ["io.containerd.grpc.v1.cri"]\n')
    with open("/run/containerd.log", "wb") as log:
        process = subprocess.Popen(["containerd", "--config", "/run/containerd.toml"], stdout=log, stderr=log)
    try:
        yield
    finally:
        process.kill()
        process.wait()


def write_config(driver, *options):
    os.makedirs(PLACE.run, exist_ok=True)
    config = {"debug": False, "storage-driver": driver}
    if options:
        config["storage-opts"] = list(options)
    with open(PLACE.config, "w") as file:
        json.dump(config, file, indent=3)


@contextlib.contextmanager
def running_engine(driver):
    docker = engine.Engine(PLACE, engine.FEW_COLLECTIONS).start()
    try:
        used = docker.api("/info")["Driver"]
        if used != driver:
            raise AssertionError("the engine runs %s, not %s" % (used, driver))
        yield docker
    finally:
        docker.stop()


def fill(docker, drivers=(), containers=CONTAINERS, limit=None):
    """A part of the end-to-end suite's fixture, which all these drivers can hold: emulation is slow."""
    base = images.base_layer(images.read_busybox())
    names = images.names_layer(242 if "fuse-overlayfs" in drivers else 255)
    rich = [base, images.kinds_layer(), names, images.gnu_layer(), images.hides_layer()]
    archive = Archive()
    archive.image(["base:1"], [base])
    archive.image(["rich:1", "host.example:5000/team/rich:one"], rich + [Layer().tar()])
    archive.image(["rich:2"], rich + [images.top_layer()])
    if "fuse-overlayfs" not in drivers:  # there the engine cannot save such an image again
        archive.image(["both:1"], [base, images.hidden_and_there_layer()])
    archive.write("/run/images.tar")
    docker.docker("load", "-i", "/run/images.tar")
    steps = b"FROM base:1\nRUN rm -r /srv/redo && mkdir /srv/redo && echo only >/srv/redo/only && chmod 4755 /srv/forge/a\n"
    docker.docker("build", "--network", "none", "-t", "built:1", "-", input_bytes=steps)
    docker.docker(
        "build", "--network", "none", "-t", "built:kit", "-", input_bytes=steps + b"RUN true\n", buildkit=True
    )
    docker.docker("create", "--name", "never", "--network", "none", "rich:1", "sh", "-c", "echo at last")
    if limit:
        docker.docker("create", "--name", "limited", "--storage-opt", "size=" + limit, "base:1", "true")
    for name in containers:
        image, options, act, check = fixture.CONTAINERS[name]
        script = fixture.SCRIPT % (act, check)
        fixture.run_container(docker, name, image, options, script)
    fixture.wait_for_exits(docker)
    docker.docker("commit", "-m", "by hand", "edits", "work:1")


def make_root(driver, *options, drivers=(), **more):
    """A data root that the engine makes under this driver; returns what it shows."""
    write_config(driver, *options)
    with running_engine(driver) as docker:
        fill(docker, {driver, *drivers}, **more)
        return observe.observe(docker)


def check_engine(before, driver, what):
    """The unmodified engine shows what it showed."""
    with running_engine(driver) as docker:
        require_shown(before, docker, driver, what)


def require_shown(before, docker, driver, what):
    after = observe.observe(docker)
    if driver == "fuse-overlayfs":
        before, after = observe.without_export_links(before), observe.without_export_links(after)
    require_no(observe.differences(before, after), what)


def check_disk(before, disk, driver, what):
    """The trees hold what they held, read without the engine and without drover."""
    require_no(observe.differences(disk, observe.observe_disk(PLACE, driver, before)), what)


def image_layer(driver):
    """The ID, in the driver's home, of the largest image layer that stands on no other."""
    records = os.path.join(PLACE.root, "image", driver, "layerdb", "sha256")
    lowest = [
        chain for chain in os.listdir(records) if not os.path.exists(os.path.join(records, chain, "parent"))
    ]
    largest = max(lowest, key=lambda chain: int(open(os.path.join(records, chain, "size")).read()))
    return open(os.path.join(records, largest, "cache-id")).read()


@contextlib.contextmanager
def elsewhere(path, folder_in_its_place=False):
    """For a while a name has gone, or is one of an empty folder."""
    aside = path + ".aside"
    os.rename(path, aside)
    if folder_in_its_place:
        os.mkdir(path)
    yield
    if folder_in_its_place:
        os.rmdir(path)
    os.rename(aside, path)


def require_no_commit(why):
    """The only other copy is not deleted."""
    said = drover("commit", "--yes", expect=12)
    if why not in said:
        raise AssertionError("commit does not say `%s`: %s" % (why, said))


def require_no(differences, what):
    if differences:
        print("\n".join(differences))
        raise AssertionError("%s: %d differences, first: %s" % (what, len(differences), differences[0]))


def check_life(driver):
    """Old containers start, new ones too."""
    with running_engine(driver) as docker:
        for name in ("edits", "links", "deletions"):
            docker.docker("start", "-a", name)
        docker.docker(
            "run", "--name", "later", "--network", "none", "base:1", "sh", "-c", "echo later >/later"
        )
        archive = Archive()
        archive.image(["new:1"], [Layer().file(b"new", b"a layer on nothing").tar()], command=("/new",))
        archive.write("/run/new.tar")
        docker.docker("load", "-i", "/run/new.tar")
        docker.docker("rm", "recreated")


# ---- drover


def command(*arguments):
    return [DROVER, "--data-root", PLACE.root, "--config", PLACE.config, *arguments]


def drover(*arguments, expect=0, old_kernel=False):
    """Runs it, and asks that it leaves nothing active, whether it ends well or not. Returns what it said.

    old_kernel: without the system calls that came after Linux 5.0."""
    before = active()
    started = time.monotonic()
    done = subprocess.run(
        ([ON_OLD_KERNEL] if old_kernel else []) + command(*arguments),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
    )
    text = done.stdout.decode("utf-8", "replace")
    seconds = time.monotonic() - started
    print(
        "$ drover %s (exit %d, %.1f s)\n%s" % (" ".join(arguments), done.returncode, seconds, text),
        flush=True,
    )
    if expect is not None and done.returncode != expect:
        raise AssertionError(
            "drover %s: exit %d, expected %d: %s" % (arguments[0], done.returncode, expect, text[-800:])
        )
    require_active(before, "drover " + arguments[0])
    return text


def active():
    """What a program can leave active in a kernel: mounts; devices and loops."""
    with open("/proc/self/mountinfo") as table:
        mounts = {line.split(" ", 2)[2] for line in table if " - tracefs " not in line}
    devices = run("dmsetup", "ls").splitlines() + run("losetup", "--list", "--noheadings").splitlines()
    return mounts, set(devices) - {"No devices found"}


def require_active(before, what):
    """No mount came or went, no device came, and there is none of an earlier, killed drover.
    The kernel takes loops and devices apart in its own time once they are closed."""
    for _ in range(GONE_SECONDS * 50):
        mounts, devices = active()
        wrong = (
            (mounts ^ before[0])
            | (devices - before[1])
            | {name for name in devices if name.startswith("drover-")}
        )
        if not wrong:
            return
        time.sleep(0.02)
    raise AssertionError("%s left, or took away: %s" % (what, "; ".join(sorted(wrong))))


def killed(journal_lines, *arguments):
    """Starts drover and kills it when its journal has that many lines."""
    process = subprocess.Popen(command(*arguments), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    await_journal(process, journal_lines)
    process.send_signal(signal.SIGKILL)
    if process.wait() != -signal.SIGKILL:
        raise AssertionError("drover ended by itself at %d journal lines" % count_journal())
    print("killed at %d journal lines" % count_journal(), flush=True)


def await_journal(process, lines):
    """Waits until a drover that was started has written that many lines of its journal, or has ended."""
    deadline = time.monotonic() + WAIT_SECONDS
    while process.poll() is None and time.monotonic() < deadline and count_journal() < lines:
        time.sleep(0.002)  # between two looks at the journal, which is the condition


def count_journal():
    count = 0
    above = PLACE.root + "/drover"
    for folder in os.listdir(above) if os.path.isdir(above) else []:
        with contextlib.suppress(FileNotFoundError), open(
            os.path.join(above, folder, "journal"), "rb"
        ) as journal:
            count += journal.read().count(b"\n")
    return count


def killed_at_call(name, number, line):
    """The command line that kills this one at its n-th call of the kernel with that name."""
    inject = "inject=%s:signal=SIGKILL:when=%s" % (name, number)
    return ["strace", "-qq", "-f", "-o", "/run/strace", "-e", "trace=" + name, "-e", inject, *line]


def require_killed(line, point, **options):
    """Runs a command line that is to be killed on its way."""
    done = subprocess.run(
        line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, **options
    )
    text = done.stdout.decode("utf-8", "replace")
    print("$ %s, to be killed at %s (exit %d)" % (" ".join(line), point, done.returncode), flush=True)
    if done.returncode not in (-signal.SIGKILL, 128 + signal.SIGKILL):
        raise AssertionError("not killed at %s: exit %d: %s" % (point, done.returncode, text))


def require_same(before, after, what):
    if before != after:
        changed = sorted(k for k in before.keys() | after.keys() if before.get(k) != after.get(k))
        raise AssertionError(
            "%s: %s" % (what, ["%s %s -> %s" % (k, before.get(k), after.get(k)) for k in changed][:5])
        )


def require_gone(*paths):
    for path in paths:
        if os.path.lexists(path):
            raise AssertionError(path + " is still there")


# ---- one case after the other


def case(name, function):
    """Runs it and says how it went: one line, PASS or FAIL."""
    started = time.monotonic()
    try:
        function()
        print("PASS %s (%.1f s)" % (name, time.monotonic() - started), flush=True)
        return True
    except Exception as error:
        traceback.print_exc(file=sys.stdout)
        for log in (PLACE.engine_log, "/run/containerd.log"):
            if os.path.exists(log):
                print("--- the end of %s\n%s" % (log, "".join(open(log, errors="replace").readlines()[-12:])))
        print("FAIL %s: %s" % (name, " ".join(str(error).split())), flush=True)
        return False
