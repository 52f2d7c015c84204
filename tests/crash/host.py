"""One worker's host: a disk, an engine, drover; and what the engine makes of the disk as it is."""
import contextlib
import dataclasses
import hashlib
import json
import os
import signal
import subprocess

import machine
import observe
import snapshot
from disk import Disk
from engine import FEW_COLLECTIONS, Engine, EngineError

SECONDS = 300
DISK, RUN = "/run/crash/disk", "/run/crash/run"
HOLD = (
    "drover is moving this host's data"  # the beginning of what an engine says that finds a switch unfinished
)


@dataclasses.dataclass(frozen=True)
class Ran:
    code: int
    text: str  # both streams

    def __str__(self):
        return "exit code %d: %s" % (self.code, " | ".join(self.text.strip().splitlines())[-600:])


class Host:
    def __init__(self, options, kind, name):
        """`name` tells this worker's files from the others'."""
        self.kind, self.options = kind, options
        self.work = os.path.join(options.work, kind.name)
        self.place = machine.Place(
            DISK,
            RUN,
            "/%s/crash-%s-%s" % (machine.CGROUP_NAME, kind.name, name),
            os.path.join(self.work, name + ".dockerd.log"),
        )
        machine.enter(self.place)
        image = os.path.join(self.work, name + ".img")
        self.disk = Disk(self.place, image, kind.filesystem, kind.on_two_disks)
        self.root, self.new_root = self.place.root, os.path.join(self.place.disk, "new", "docker")
        self.archive = os.path.join(self.work, "all.drover")

    # --- what is on the disk

    def make(self):
        self.disk.make()
        self.kind.make(self)

    def write_config(self, config):
        with open(self.place.config, "w") as file:
            file.write(json.dumps(config, indent=2) + "\n")

    def make_sample_root(self):
        machine.run(self.options.make_sample_root, "--small", self.root)

    def remove_root(self):
        machine.run("rm", "-rf", self.root)

    def roots(self):
        return [root for root in (self.root, self.new_root) if os.path.isdir(root)]

    def entries(self):
        return snapshot.entries(self.place.disk, self.roots())

    def whole_snapshot(self, since):
        return snapshot.digest(snapshot.entries_of_all(self.place.disk, self.roots(), since))

    def left_behind(self):
        return snapshot.left_behind(self.place.disk, self.roots())

    # --- drover

    def _command(self, program, arguments):
        named = [] if self.kind.moves_root else ["--data-root", self.root]
        words = [self.new_root if word == "NEW_ROOT" else word for word in arguments]
        return [program, *named, "--config", self.place.config, *words]

    def run(self, arguments, fault=None, log=None):
        """Runs drover, with a fault if one is given; its exit code is negative where a signal has ended it."""
        environment = dict(os.environ)
        if fault:
            environment["DROVER_FAULT"] = fault
        if log:
            environment["DROVER_FAULT_LOG"] = log
        program = self.options.faults if fault or log else self.options.drover
        done = subprocess.run(
            self._command(program, arguments),
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=SECONDS,
        )
        return Ran(done.returncode, done.stdout.decode("utf-8", "replace"))

    def run_until_stopped(self, arguments, number):
        """Nothing if it ends before its change of that number; else the process, which stands still after it."""
        process = subprocess.Popen(
            self._command(self.options.faults, arguments),
            env=dict(os.environ, DROVER_FAULT="stop@%d" % number),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # with what it has forked it can be killed as one
        )
        _, status = os.waitpid(process.pid, os.WUNTRACED)
        if os.WIFSTOPPED(status):
            return process
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            raise AssertionError("drover %s: exit code %d" % (" ".join(arguments), process.returncode))
        return None

    def drover(self, *arguments):
        ran = self.run(arguments)
        if ran.code != 0:
            raise AssertionError("drover %s: %s" % (" ".join(arguments), ran))
        return ran

    # --- the engine

    def engine(self):
        engine = Engine(self.place, FEW_COLLECTIONS)
        engine.names_root = not self.kind.moves_root
        return engine

    def run_engine_once(self, *commands):
        """It makes what it makes at its first start, and does what it is told."""
        engine = self.engine().start()
        for command in commands:
            engine.docker(*command.split())
        engine.stop()

    def observe(self, start=True):
        """A short text that two disks have alike on which the engine shows the same, and (`start`) starts the container; or
        "held", or "refused: " and why."""
        engine = self.engine()
        try:
            engine.start()
        except EngineError as error:
            # Its containerd outlives it. In this PID namespace nobody else is to live on.
            with contextlib.suppress(ProcessLookupError):
                os.kill(-1, signal.SIGKILL)
            return "held" if HOLD in str(error) else "refused: %s" % error
        try:
            info = engine.api("/info")
            seen = observe.observe(engine)
            if info["Driver"] == "fuse-overlayfs":
                seen = observe.without_export_links(seen)
            started = {
                name: engine.docker("start", "-a", name.lstrip("/"))
                for name in sorted(seen["containers"] if start else [])
            }
        finally:
            engine.stop()
        text = json.dumps([info["DockerRootDir"], seen, started], sort_keys=True)
        digest = hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
        with open(os.path.join(self.work, "seen-" + digest[:16] + ".json"), "w") as file:
            file.write(text)
        return "%s in %s: %s" % (info["Driver"], info["DockerRootDir"], digest[:16])

    def shows_all_of(self, before, after, but=()):
        """Whether each image, tag and container that was there is there; both are answers of observe(). In another data
        root a container's configuration names other paths, and through fuse-overlayfs an export has other links. `but`:
        containers that need not be there.
        """
        seen = []
        for answer in (before, after):
            path = os.path.join(self.work, "seen-%s.json" % answer.rpartition(" ")[2])
            if not os.path.exists(path):
                return False
            with open(path) as file:
                seen.append(json.load(file)[1])
        old, new = seen
        compared = ["container diff", "container logs"]
        if not self.kind.moves_root:
            compared += ["container inspect", "volumes"]
        if "fuse-overlayfs" not in self.kind.command and self.kind.name != "rollback-of-renamed":
            compared.append("container export")
        tags = lambda facts: {tag for image in facts["images"].values() for tag in observe.tags(image)}
        return (
            set(old["images"]) <= set(new["images"])
            and tags(old) <= tags(new)
            and all(
                new[what].get(name) == old[what][name]
                for what in compared
                for name in old[what]
                if name not in but
            )
        )

    def observe_copy(self):
        """The same of a copy, since an engine changes the disk."""
        kept = self.disk.keep_copy("kept")
        try:
            return self.observe()
        finally:
            self.disk.put_back(kept)


def killed(ran):
    return ran.code == -signal.SIGKILL
