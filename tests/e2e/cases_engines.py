"""Newer engines on migrated roots, and the root of an engine with userns-remap.

tests/e2e/make_engine unpacks the engines. Each is compared with itself: what it shows of the source before the
migration it must show of the result afterwards."""
import contextlib
import os
import subprocess

import machine
import observe
from engine import FEW_COLLECTIONS, Engine
from images import base_layer, read_busybox, top_layer
from layers import Archive, Layer

HERE = os.path.dirname(os.path.abspath(__file__))
SUITES = ("trixie", "forky")  # 26.1 and 28.5
# Each from a driver of the other kind; a filesystem that has been in use under the old one.
MIGRATIONS = (
    ("vfs@ext4", "overlay2"),
    ("vfs@xfs", "fuse-overlayfs"),
    ("overlay2@ext4", "vfs"),
    ("overlay2@btrfs", "btrfs"),
)
MAPPED = 100000  # the host's ID of root in the containers of an engine with userns-remap
REMAPPED_WALK = ("vfs", "btrfs", "fuse-overlayfs", "overlay2", "btrfs", "overlay2")


def make_engines():
    for suite in SUITES:
        engine_root(suite)


def engine_root(suite):
    """The folder that it is in; makes it if it is not there yet."""
    made = subprocess.run(
        [os.path.join(HERE, "make_engine"), suite], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    if made.returncode != 0:
        raise AssertionError("make_engine %s: %s" % (suite, made.stderr.decode().strip()[-300:]))
    return made.stdout.decode().strip()


@contextlib.contextmanager
def newer_engine(bench, suite):
    """It runs, with its own libraries and tools around it, on the case's place."""
    root = engine_root(suite)
    # A container's root cannot be changed in a folder that is no mount.
    machine.run("mount", "--bind", root, root)
    for folder in ("/proc", "/sys", "/dev", "/run"):
        machine.run("mount", "--rbind", folder, root + folder)
    bench.engine = Engine(bench.place, (*FEW_COLLECTIONS, "chroot", root))
    bench.engine.start()
    try:
        yield bench.engine
    finally:
        bench.engine.stop()
        machine.run("umount", "--recursive", root)


def newer_engines(bench, source, target):
    """Each engine on the source, and on the result, the newest last, as in upgrades; then old containers."""
    seen = {}
    bench.take_source(source)
    for suite in SUITES:
        with newer_engine(bench, suite) as docker:
            bench.check_driver(bench.driver)
            seen[suite] = observe.observe(docker)
    bench.drop_root()
    bench.take_source(source)
    bench.drover("migrate", "--to", target, "--yes")
    for suite in SUITES:
        with newer_engine(bench, suite):
            bench.check_running_engine_shows({"engine": seen[suite]}, target)
    for suite in SUITES:
        with newer_engine(bench, suite) as docker:
            docker.docker("start", "edits", "links")
            docker.docker("wait", "edits", "links")
            if not docker.docker("logs", "edits").rstrip().endswith("again"):
                raise AssertionError("container edits did not find its own files again")
            docker.docker("run", "--rm", "--network", "none", "rich:1", "test", "-e", "/srv/opaque/new")


class RemappedPlace(machine.Place):
    """The engine gets the data root as ever, and works in a folder of it."""

    @property
    def root(self):
        return "%s/%d.%d" % (super().root, MAPPED, MAPPED)

    @property
    def data_root(self):
        return super().root


def remapped(bench, filesystem):
    """From driver to driver, with the engine and containers of it after each."""
    with open("/run/e2e/map", "w") as file:
        file.write("dockremap:%d:65536\n" % MAPPED)
    for path, line in (("passwd", "dockremap:x:900:900::/:/bin/false"), ("group", "dockremap:x:900:")):
        with open("/etc/" + path) as old, open("/run/e2e/" + path, "w") as new:
            new.write(old.read() + line + "\n")
        machine.run("mount", "--bind", "/run/e2e/" + path, "/etc/" + path)
    for path in ("/etc/subuid", "/etc/subgid"):
        machine.run("mount", "--bind", "/run/e2e/map", path)
    place = bench.place
    bench.place = RemappedPlace(place.disk, place.run, place.cgroup, place.engine_log)
    bench.engine = Engine(bench.place, FEW_COLLECTIONS)
    bench.make_root("overlay2", filesystem)
    bench.write_config({"storage-driver": "overlay2", "userns-remap": "dockremap"})
    bench.engine.start()
    fill(bench)
    bench.engine.stop()
    bench.before = bench.observe_all("overlay2")
    for target in REMAPPED_WALK:
        bench.drover("migrate", "--to", target, "--yes")
        bench.check_disk_shows(bench.before, target)
        bench.drover("verify")
        check_owners(bench, target)
        bench.check_engine_shows(bench.before, target)
        bench.drover("commit", "--yes")
        bench.driver = target
    bench.engine.start()
    bench.engine.docker("start", "edits")
    bench.engine.docker("wait", "edits")
    if "again" not in bench.engine.docker("logs", "edits"):
        raise AssertionError("container edits did not find its own files again")
    bench.engine.docker("run", "--name", "new", "--network", "none", "some:1", "sh", "-c", "echo x >/x")
    bench.engine.docker("rm", "edits", "new")
    bench.engine.stop()


def fill(bench):
    """What 65536 IDs can hold."""
    archive = Archive()
    base = base_layer(read_busybox())
    hides = Layer().directory(b"srv").whiteout(b"srv/gone").whiteout(b"srv/gone-dir")
    hides.directory(b"srv/opaque").opaque(b"srv/opaque").file(b"srv/opaque/new", b"new\n")
    archive.image(["some:1"], [base, hides.tar(), top_layer()])
    archive.write("/run/e2e/images.tar")
    bench.engine.docker("load", "-i", "/run/e2e/images.tar")
    script = "[ -e /once ] && echo again; touch /once; rm -rf /srv/redo; mkdir /srv/redo; chown 33:44 /srv/redo; echo x >/srv/new"
    bench.engine.docker("run", "--name", "edits", "--network", "none", "some:1", "sh", "-c", script)
    bench.engine.docker("commit", "edits", "work:1")


def check_owners(bench, driver):
    """Homes are as the engine makes them there: root's, and the mapped group gets through to the layers."""
    home = os.stat(bench.home(driver))
    if (home.st_uid, home.st_gid) not in ((0, MAPPED), (MAPPED, MAPPED)):
        raise AssertionError("the home of %s belongs to %d:%d" % (driver, home.st_uid, home.st_gid))


def cases():
    found = [
        (
            "engines/%s-to-%s" % (source, target),
            source,
            lambda bench, source=source, target=target: newer_engines(bench, source, target),
        )
        for source, target in MIGRATIONS
    ]
    return found + [("engines/userns-remap", None, lambda bench: remapped(bench, "btrfs"))]
