"""What a task stands on: namespaces, a filesystem in an image file, paths that all tasks have alike.

Containers record absolute paths, so a data root must be seen at one path wherever its image is mounted. Every
task therefore runs in mount, PID and network namespaces of its own with a private /run. When its first
process ends the kernel ends all others, and the mounts and loop devices go with them."""
import ctypes
import dataclasses
import os
import select
import signal
import subprocess
import sys
import time

CGROUPS = "/sys/fs/cgroup"
CGROUP_NAME = "drover-e2e"
PR_SET_PDEATHSIG = 1
IN_CLOSE_NOWRITE = 0x10


@dataclasses.dataclass(frozen=True)
class Place:
    """Paths inside a task's namespaces."""

    disk: str  # where the image file is mounted
    run: str  # the engine's runtime files
    cgroup: str  # parent of the containers' cgroups
    engine_log: str

    @property
    def root(self):
        return os.path.join(self.disk, "docker")

    @property
    def data_root(self):
        """What the engine is told; it may work in a folder of it."""
        return self.root

    @property
    def config(self):
        return os.path.join(self.disk, "daemon.json")


def place_of(task, work):
    return Place(
        "/run/e2e/disk",
        "/run/e2e/run",
        "/%s/%s" % (CGROUP_NAME, task.replace("/", "-")),
        os.path.join(work, "logs", task.replace("/", "-") + ".dockerd.log"),
    )


def start_in_namespaces(command, output):
    """A process group whose death takes everything in it along; it also dies with the suite itself."""
    libc = ctypes.CDLL(None)
    return subprocess.Popen(
        ["unshare", "--mount", "--pid", "--net", "--fork", "--kill-child", "--mount-proc", *command],
        stdout=output,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        preexec_fn=lambda: libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL),
    )


def become_init():
    """Forks: the child goes on and returns; PID 1 stays behind, reaps orphans, and ends as the child did."""
    child = os.fork()
    if child == 0:
        return
    while True:
        pid, status = os.wait()
        if pid == child:
            sys.stdout.flush()
            os._exit(os.waitstatus_to_exitcode(status) & 0xFF)


def enter(place):
    """A private /run, so that nothing that runs here meets the host's engines."""
    run("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run")
    os.makedirs(place.disk)
    os.makedirs(place.run)


def make_filesystem(image, kind, size="6G"):
    with open(image, "wb") as file:
        file.truncate(int(size[:-1]) << {"M": 20, "G": 30}[size[-1]])
    options = {
        "ext4": ["-q", "-F", "-E", "lazy_itable_init=1"],
        "xfs": ["-q", "-f", "-m", "reflink=1"],
        "btrfs": ["-q", "-f"],
    }
    run("mkfs." + kind, *options[kind], image)


def copy_filesystem(source, target, kind):
    """A copy that can be mounted beside the original."""
    run("cp", "--reflink=auto", "--sparse=always", source, target)
    if kind == "btrfs":
        run("btrfstune", "-m", target)  # two mounted btrfs filesystems may not have one ID


def mount(image, kind, place, shared=False):
    run("mount", "-t", kind, "-o", "loop,nouuid" if kind == "xfs" else "loop", image, place.disk)
    if shared:
        run("mount", "--make-shared", place.disk)


def unmount(place):
    run("umount", place.disk)


def run(*command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode != 0:
        raise RuntimeError(
            "%s: exit %d: %s"
            % (" ".join(command), done.returncode, done.stdout.decode("utf-8", "replace").strip())
        )
    return done.stdout.decode("utf-8", "surrogateescape")


def remove_leftovers(work):
    """Loop devices go with their last mount and cgroups with their last process, soon after the namespaces' end.
    Returns those that stay."""
    left = []
    for _ in range(500):
        left = loop_devices_of(work) + _remove_cgroups()
        if not left:
            break
        time.sleep(0.02)  # no event tells when a namespace is gone
    return left


def _remove_cgroups():
    """Returns those that still have processes."""
    left = []
    for hierarchy in [CGROUPS] + [os.path.join(CGROUPS, name) for name in os.listdir(CGROUPS)]:
        top = os.path.join(hierarchy, CGROUP_NAME)
        if os.path.islink(hierarchy) or not os.path.isdir(top):
            continue
        for folder, _, _ in os.walk(top, topdown=False):
            try:
                os.rmdir(folder)
            except OSError:
                left.append(folder)
    return left


def loop_devices_of(work):
    """Loop devices whose image lies below `work`."""
    devices = []
    for name in os.listdir("/sys/block"):
        try:
            with open("/sys/block/%s/loop/backing_file" % name) as file:
                backing = file.read().strip()
        except OSError:
            continue
        if backing.startswith(work + "/"):
            devices.append("/dev/" + name)
    return devices


def wait_readable(descriptors, seconds):
    return select.select(list(descriptors), [], [], seconds)[0]


class ReadWatch:
    """Tells that somebody has opened a file for reading, and closed it, since this was made."""

    def __init__(self, path):
        self._path = path
        libc = ctypes.CDLL(None, use_errno=True)
        self._events = libc.inotify_init1(os.O_CLOEXEC)
        if self._events < 0 or libc.inotify_add_watch(self._events, os.fsencode(path), IN_CLOSE_NOWRITE) < 0:
            raise OSError(ctypes.get_errno(), "cannot watch " + path)

    def wait(self, seconds):
        if not wait_readable([self._events], seconds):
            raise AssertionError("nobody has read %s in %d seconds" % (self._path, seconds))
        os.close(self._events)
