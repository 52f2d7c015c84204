"""What rows work with: disks, data roots on them in the form of any driver, drover, engines."""
import dataclasses
import json
import os
import subprocess

import debian
import disk
import machine
import synthetic
from engine import Engine

SMALL = {
    "files": (500, 1000, 2000),
    "layers": (10, 20, 40),
    "bytes": (4 << 20, 8 << 20, 16 << 20),
    "sparse": (1 << 26, 1 << 27, 1 << 28),
}
FULL = {
    "files": (10_000, 100_000, 1_000_000),
    "layers": (100, 1000, 10_000),
    "bytes": (1 << 28, 1 << 29, 1 << 30),
    "sparse": (1_000_000_000, 10_000_000_000, 100_000_000_000),
}
MAKERS = {
    "files": synthetic.make_files,
    "layers": synthetic.make_layers,
    "bytes": synthetic.make_bytes,
    "sparse": synthetic.make_sparse,
}


class Skip(Exception):
    """A row that cannot run here; says why."""


@dataclasses.dataclass
class Ran:
    code: int
    out: str
    err: str


class Root:
    """A data root. `given`: what make_given left for a rival to copy."""

    def __init__(self, lab, on, name):
        self.lab, self.disk = lab, on
        self.place = machine.Place(
            os.path.join(on.path, name),
            "/run/bench/run-" + name,
            "/%s/%s" % (machine.CGROUP_NAME, name),
            lab.log,
        )
        self.path, self.config = self.place.root, self.place.config
        self.driver = "overlay2"
        os.makedirs(self.place.disk)
        self.write_config("overlay2")

    def write_config(self, driver):
        with open(self.config, "w") as file:
            json.dump({"storage-driver": driver}, file)

    @property
    def home(self):
        return os.path.join(self.path, self.driver)

    def command(self, *words, data_root=None):
        """drover on this root, or on where it has moved to; what it prints is JSON."""
        common = ["--data-root", data_root or self.path, "--config", self.config]
        return [self.lab.drover, *common, "-y", "-q", "--progress", "none", "--format", "json", *words]

    def drover(self, *words, data_root=None):
        done = subprocess.run(
            self.command(*words, data_root=data_root),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        ran = Ran(
            done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace")
        )
        if ran.code != 0:
            raise RuntimeError(
                "drover %s: exit code %d: %s" % (" ".join(words), ran.code, ran.err.strip()[-600:])
            )
        return ran

    def take_form(self, driver):
        """Makes it another driver's, unless it is; for good."""
        if driver != self.driver:
            self.drover("migrate", "--to", driver, *needs_force(driver))
            self.drover("commit")
            self.driver = driver

    def remove(self):
        disk.remove_tree(self.place.disk)


def needs_force(driver):
    """No kernel here has aufs."""
    return ["--force"] if driver == "aufs" else []


class Lab:
    def __init__(self, options, log):
        self.size, self.real_disk, self.log = options.size, options.disk, log
        self.drover = options.drover
        self.scale = SMALL if options.size == "small" else FULL
        self.help = subprocess.run(
            [self.drover, "migrate", "--help"], stdout=subprocess.PIPE, check=True
        ).stdout.decode()
        self._disks, self._roots = {}, {}

    def disk(self, name, kind):
        """The disk of that name, made anew if it is of another kind."""
        if name in self._disks and self._disks[name].kind == kind:
            return self._disks[name]
        if self.real_disk and disk.kind_of(self.real_disk) != kind:
            raise Skip("%s is on %s, not %s" % (self.real_disk, disk.kind_of(self.real_disk), kind))
        if name in self._disks:
            self._roots = {
                key: root for key, root in self._roots.items() if root.disk is not self._disks[name]
            }
            self._disks.pop(name).remove()
        self._disks[name] = disk.Disk(name, kind, self.size, self.real_disk)
        return self._disks[name]

    def keep_only(self, roots):
        """Room for what comes next."""
        for name in [name for name in self._roots if name not in roots]:
            self._roots.pop(name).remove()

    def root(self, name, driver, kind):
        """`name`: debian, or the name of a synthetic one and which of its three sizes: files/2."""
        on = self.disk("a", kind)
        if name not in self._roots:
            print("   making the data root %s on %s" % (name, kind), flush=True)
            self._roots[name] = self._make(name, on)
        root = self._roots[name]
        root.take_form(driver)
        return root

    def _make(self, name, on):
        root = Root(self, on, name.replace("/", "-"))
        if name == "debian":
            debian.put(root, self.size)
        else:
            what, number = name.split("/")
            os.mkdir(root.path, 0o711)
            MAKERS[what](root.path, self.scale[what][int(number)])
        return root

    def require(self, *flags):
        for flag in flags:
            if flag.startswith("--") and flag not in self.help:
                raise Skip("this drover's migrate has no %s" % flag)

    def remove(self):
        """All of it; what is asked for next is made anew."""
        self._roots = {}
        while self._disks:
            self._disks.popitem()[1].remove()


class RunningEngine:
    """A started dockerd; `docker` is the client's command line for it."""

    def __init__(self, place):
        self.engine = Engine(place)
        self.engine.start()
        self.docker = "docker -H unix://" + self.engine.socket_path

    def processes(self):
        """dockerd and its containerd."""
        pid = self.engine._process.pid
        with open("/proc/%d/task/%d/children" % (pid, pid)) as file:
            return [pid] + [int(child) for child in file.read().split()]

    def stop(self):
        self.engine.stop()
