"""What a case works with: a place, an engine, drover, and copies of the sources' data roots."""
import dataclasses
import gzip
import json
import os
import shutil
import stat
import subprocess

import machine
import observe
from engine import FEW_COLLECTIONS, Engine

AS_NOBODY = ("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups")
DRIVERS = ("overlay2", "fuse-overlayfs", "vfs", "btrfs")
FILESYSTEMS = ("ext4", "xfs", "btrfs")


def parts_of(source):
    """Driver, what its fixture is made for ("" or a driver with short names), filesystem: "vfs+aufs@ext4"."""
    driver, filesystem = source.split("@")
    driver, _, made_for = driver.partition("+")
    return driver, made_for, filesystem


class Skip(Exception):
    """The case cannot run here; says why."""


@dataclasses.dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str

    def __str__(self):
        return "exit %d\n--- stdout\n%s--- stderr\n%s" % (self.code, self.out, self.err)


class Bench:
    def __init__(self, work, task, drover):
        self.work, self.task = work, task
        self.place = machine.place_of(task, work)
        machine.enter(self.place)
        self.engine = Engine(self.place, FEW_COLLECTIONS)
        self._drover = drover
        self.image = os.path.join(work, "cases", task.replace("/", "-") + ".img")
        self.driver = None  # of the data root as it was taken
        self.before = None  # what observe() saw in it

    # --- data roots

    def make_root(self, driver, filesystem):
        machine.make_filesystem(self.image, filesystem)
        machine.mount(self.image, filesystem, self.place)
        self.driver = driver
        self.write_config({"storage-driver": driver, "debug": False, "log-opts": {"max-size": "10m"}})

    def keep_as_source(self, name, seen):
        """Puts the stopped data root and what was seen of it where take_source finds them."""
        machine.unmount(self.place)
        os.rename(self.image, self._source(name, ".img"))
        with gzip.open(self._source(name, ".json.gz"), "wt") as file:
            json.dump(seen, file)

    def drop_root(self):
        machine.unmount(self.place)
        os.unlink(self.image)

    def take_source(self, name, shared=False):
        """A private copy of a source, mounted."""
        self.driver, _, filesystem = parts_of(name)
        machine.copy_filesystem(self._source(name, ".img"), self.image, filesystem)
        machine.mount(self.image, filesystem, self.place, shared)
        with gzip.open(self._source(name, ".json.gz"), "rt") as file:
            self.before = json.load(file)

    def _source(self, name, suffix):
        return os.path.join(self.work, "sources", name + suffix)

    def write_config(self, config):
        with open(self.place.config, "w") as file:
            file.write(json.dumps(config, indent=3) + "\n")

    def config_bytes(self):
        with open(self.place.config, "rb") as file:
            return file.read()

    def home(self, driver):
        return os.path.join(self.place.root, driver)

    # --- drover

    def command(self, *arguments):
        return [
            self.drover_binary(),
            "--data-root",
            self.place.data_root,
            "--config",
            self.place.config,
            *arguments,
        ]

    def drover_binary(self):
        """A copy that every user can reach."""
        return self._copy_of(self._drover, "/run/e2e/drover")

    def faults_binary(self):
        """drover with faults (tests/faults), of the same build."""
        return self._copy_of(
            os.path.join(os.path.dirname(self._drover), "tests/drover_faults"), "/run/e2e/drover_faults"
        )

    @staticmethod
    def _copy_of(program, copy):
        if not os.path.exists(copy):
            if not os.path.exists(program):
                raise AssertionError("no %s: build it, or name the build's drover with --drover" % program)
            shutil.copy(program, copy)
        return copy

    def drover(self, *arguments, expect=0, through=()):
        """Runs drover, by another command's hand if one is given, and checks its exit code."""
        command = [*through, *self.command(*arguments)]
        done = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, timeout=300
        )
        ran = Ran(
            done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace")
        )
        print("$ drover %s\n%s" % (" ".join(arguments), ran), flush=True)
        if expect is not None and ran.code != expect:
            raise AssertionError(
                "drover %s: exit %d, expected %d: %s"
                % (" ".join(arguments), ran.code, expect, one_line(ran.err) or one_line(ran.out))
            )
        return ran

    # --- checks

    def check_engine_shows(self, seen, driver):
        """Starts the engine, compares, stops."""
        self.engine.start()
        self.check_running_engine_shows(seen, driver)
        self.engine.stop()

    def check_running_engine_shows(self, seen, driver):
        self.check_driver(driver)
        before, after = seen["engine"], observe.observe(self.engine)
        if "fuse-overlayfs" in (driver, self.driver):
            before, after = observe.without_export_links(before), observe.without_export_links(after)
        if self.driver == "fuse-overlayfs":
            before = observe.with_missed_deletions(before, after)
        require_equal(before, after, "the engine shows")

    def check_driver(self, driver):
        running = self.engine.api("/info")["Driver"]
        if running != driver:
            raise AssertionError("the engine runs %s, not %s" % (running, driver))

    def check_disk_shows(self, seen, driver):
        require_equal(
            seen["disk"], observe.observe_disk(self.place, driver, seen["engine"]), "the disk holds"
        )

    def check_all(self, seen, driver):
        self.check_disk_shows(seen, driver)
        self.check_engine_shows(seen, driver)

    def observe_all(self, driver):
        """Of a stopped data root."""
        self.engine.start()
        seen = observe.observe(self.engine)
        self.engine.stop()
        return {"engine": seen, "disk": observe.observe_disk(self.place, driver, seen)}


def require_equal(before, after, what):
    lines = observe.differences(before, after)
    if lines:
        print("\n".join(lines), flush=True)
        raise AssertionError("%s %d differences, first: %s" % (what, len(lines), lines[0]))


def fingerprint(place):
    """Everything stat tells about each file, change times included: equal only if nothing was touched.
    The data root's own times may change, and those of what holds it: drivers are tried out in it."""
    top = place.disk
    facts = {}
    for folder, folders, files in os.walk(top):
        for name in folders + files:
            path = os.path.join(folder, name)
            status = os.lstat(path)
            facts[path] = [
                stat.filemode(status.st_mode),
                status.st_uid,
                status.st_gid,
                status.st_ino,
                status.st_mtime_ns,
                status.st_ctime_ns,
                status.st_nlink,
                status.st_size,
            ]
    for path in (top, place.root):
        if path in facts:
            facts[path] = [fact for i, fact in enumerate(facts[path]) if i not in (4, 5)]
    status = os.lstat(top)
    facts[top] = [stat.filemode(status.st_mode), status.st_uid, status.st_gid, status.st_ino]
    return facts


def one_line(text):
    return " | ".join(line for line in text.splitlines() if line.strip())[-500:]
