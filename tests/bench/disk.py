"""The filesystems that the benchmark runs on: on loop devices whose images lie in a tmpfs, or a folder of a real one."""
import os

import machine

TMPFS = "/run/bench/tmpfs-" + os.environ.get("DROVER_BENCH", "")  # the run's own: loop devices are told by it
SIZES = {"small": "1G", "full": "23G"}  # apparent; an image takes what is written to it
# What Debian's mkfs does by itself, but ext4's inodes: a million files on a small image need more of them.
OPTIONS = {
    "ext4": ["-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0", "-i", "7168"],
    "xfs": ["-q", "-f", "-m", "reflink=1"],
    "btrfs": ["-q", "-f"],
}


class Disk:
    """`name` a or b: roots are made at the same path whatever they lie on."""

    def __init__(self, name, kind, size, real_folder=None):
        self.kind = kind
        self.path = "/run/bench/" + name
        self._image = None
        os.makedirs(self.path, exist_ok=True)
        if real_folder is None:
            self._make_image(name, size)
        else:
            self._folder = os.path.join(real_folder, "drover-bench-" + name)
            os.mkdir(self._folder)
            machine.run("mount", "--bind", self._folder, self.path)
        self._counts = "/sys/class/block/%s/stat" % os.path.basename(device_of(self.path))

    def _make_image(self, name, size):
        os.makedirs(TMPFS, exist_ok=True)
        if not os.path.ismount(TMPFS):
            machine.run("mount", "-t", "tmpfs", "-o", "size=90%", "tmpfs", TMPFS)
        self._image = os.path.join(TMPFS, name + ".img")
        with open(self._image, "wb") as file:
            file.truncate(int(SIZES[size][:-1]) << 30)
        machine.run("mkfs." + self.kind, *OPTIONS[self.kind], self._image)
        options = "loop,nouuid" if self.kind == "xfs" else "loop"
        machine.run("mount", "-t", self.kind, "-o", options, self._image, self.path)

    def traffic(self):
        """Bytes that the device has read and written. With a real disk others' are among them."""
        with open(self._counts) as file:
            fields = file.read().split()
        return int(fields[2]) * 512, int(fields[6]) * 512

    def remove(self):
        if self._image:
            machine.run("umount", self.path)
            os.unlink(self._image)
        else:
            machine.run("umount", self.path)
            remove_tree(self._folder)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.remove()


def device_of(path):
    return machine.run("findmnt", "-n", "-o", "SOURCE", "-T", path).strip().split("[")[0]


def kind_of(path):
    return machine.run("findmnt", "-n", "-o", "FSTYPE", "-T", path).strip()


def remove_tree(path):
    """Its btrfs subvolumes, too; so rm must not stop where another device begins, and nothing may be mounted there."""
    with open("/proc/self/mounts") as mounts:
        inside = [line.split()[1] for line in mounts if line.split()[1].startswith(path + "/")]
    for mounted in reversed(inside):
        machine.run("umount", mounted)
    if os.path.lexists(path):
        machine.run("rm", "-rf", path)


def settle(cold):
    """Nothing that an earlier run has left to write is written in the next one's time."""
    os.sync()
    if cold:
        with open("/proc/sys/vm/drop_caches", "w") as file:
            file.write("3\n")
