"""Sources, and every ordered pair of drivers on every filesystem that takes both."""
import os
import shutil

import fixture
import observe
import trees
from bench import DRIVERS, FILESYSTEMS, parts_of

# Cannot be started: they hold no shell.
NOT_STARTABLE = {"scratch"}

# The old overlay shares nearly all of its code here with overlay2: one pair for each way to read and write.
OLD_OVERLAY_PAIRS = (
    ("overlay@ext4", "overlay2"),
    ("overlay@ext4", "vfs"),
    ("overlay@xfs", "fuse-overlayfs"),
    ("overlay2@ext4", "overlay"),
    ("overlay2@xfs", "overlay"),
    ("vfs@ext4", "overlay"),
    ("btrfs@btrfs", "overlay"),
)

# Of what aufs can hold too.
SOURCES_FOR_AUFS = ("overlay2+aufs@ext4", "fuse-overlayfs+aufs@ext4", "vfs+aufs@ext4")


def takes(driver, filesystem):
    return driver != "btrfs" or filesystem == "btrfs"


def sources():
    return [
        "%s@%s" % (driver, filesystem)
        for driver in DRIVERS
        for filesystem in FILESYSTEMS
        if takes(driver, filesystem)
    ] + ["overlay@ext4", "overlay@xfs"]


def source_of(driver):
    """The driver's source where one of each driver is enough."""
    return driver + ("@btrfs" if driver == "btrfs" else "@ext4")


# With a stack of 66 layers: each driver's home once, since the filesystem below it has no part in how they are stacked.
DEEP_SOURCES = {source_of(driver) for driver in DRIVERS + ("overlay",)} | {"overlay2+aufs@ext4"}


def make_source(bench, name):
    """Builds a data root with the engine, and proves the observer, once for each driver: a restart must make no
    difference."""
    driver, made_for, filesystem = parts_of(name)
    bench.make_root(driver, filesystem)
    bench.engine.start()
    fixture.make(bench.engine, bench.place, {driver, made_for}, deep=name in DEEP_SOURCES)
    bench.engine.stop()
    seen = bench.observe_all(driver)
    if name == source_of(driver):
        bench.check_all(seen, driver)
    bench.keep_as_source(name, seen)


def observer_detects(bench, name):
    """Each of these changes must be seen, or the comparison proves nothing."""
    bench.take_source(name)
    driver = bench.driver
    inspected = bench.before["engine"]["container inspect"]
    layer = trees.mount_id(bench.place.root, driver, inspected["/edits"]["Id"])
    top = os.path.join(bench.home(driver), layer, "diff")
    os.utime(os.path.join(top, "srv/new"), ns=(0, 1))
    os.setxattr(os.path.join(top, "srv/again"), "user.more", b"x")
    os.unlink(os.path.join(top, "srv/new-link"))
    with open(os.path.join(top, "srv/keep/b"), "r+b") as file:
        status = os.fstat(file.fileno())
        file.write(b"B")
    os.utime(os.path.join(top, "srv/keep/b"), ns=(status.st_atime_ns, status.st_mtime_ns))
    shutil.rmtree(os.path.join(bench.place.root, "image", driver, "imagedb/metadata"))
    disk = observe.differences(
        bench.before["disk"], observe.observe_disk(bench.place, driver, bench.before["engine"])
    )
    bench.engine.start()
    engine = observe.differences(bench.before["engine"], observe.observe(bench.engine))
    bench.engine.stop()
    for lines, marks in (
        (disk, ("'mtime': was", "xattrs", "new-link", "sha256")),
        (engine, ("container diff", "container export", "image inspect", "ParentId", "sha256")),
    ):
        missed = [mark for mark in marks if not any(mark in line for line in lines)]
        if missed:
            raise AssertionError("not noticed: %s" % ", ".join(missed))


def pair(bench, source, target):
    """Migrates, compares everything, then goes on living with the result."""
    bench.take_source(
        source, shared=target == "vfs"
    )  # with a shared mount the engine makes no bind mount of its own
    bench.drover("migrate", "--to", target, "--yes", "--progress", "plain")
    bench.check_disk_shows(bench.before, target)
    bench.drover("verify")
    bench.engine.start()
    bench.check_running_engine_shows(bench.before, target)
    if (source, target) in first_pairs():
        live_on(bench)
    else:
        start_old_containers(bench.engine, {"edits", "links", "deep"} & containers_before(bench))
    bench.engine.stop()


def first_pairs():
    """One for each target on each filesystem: from where it came makes no difference to a life on the result."""
    first = {}
    for source, target in pairs():
        first.setdefault((target, source.split("@")[1]), (source, target))
    return set(first.values())


def live_on(bench):
    """Old containers, images and build caches must still work; everything must be removable."""
    engine = bench.engine
    start_old_containers(engine, all_containers(engine) - NOT_STARTABLE)
    engine.docker("commit", "links", "after:1")
    # Only overlay2's commit keeps a link between a changed and an unchanged file.
    engine.docker(
        "run",
        "--rm",
        "--network",
        "none",
        "after:1",
        "sh",
        "-c",
        "[ /own -ef /srv/own-3 ] && [ -e /linked-lower ] && [ ! -e /srv/links/three ]",
    )
    check_builds_are_cached(bench)
    engine.docker("rm", "deletions")
    engine.docker("rmi", "moving:1", "after:1")
    check_everything_goes(bench)


def all_containers(engine):
    return {container["Names"][0].lstrip("/") for container in engine.api("/containers/json", all=1)}


def containers_before(bench):
    return {name.lstrip("/") for name in bench.before["engine"]["container inspect"]}


def start_old_containers(engine, names):
    engine.docker("start", *sorted(names))
    fixture.wait_for_exits(engine)
    for name in names & set(fixture.CONTAINERS):
        logs = engine.docker("logs", name)
        if fixture.CONTAINERS[name][2] and not logs.rstrip().endswith("again"):
            raise AssertionError("container %s did not find its own files again: %s" % (name, logs.strip()))


def check_builds_are_cached(bench):
    before = {
        tag: image["Id"]
        for tag in ("built:1", "built:kit")
        for image in [bench.engine.api("/images/%s/json" % tag)]
    }
    legacy = fixture.build(bench.engine, bench.place, "built:1", buildkit=False)
    steps = fixture.DOCKERFILE.count("\n") - 1
    if legacy.count("Using cache") != steps:
        raise AssertionError(
            "the legacy builder used its cache for %d of %d steps" % (legacy.count("Using cache"), steps)
        )
    kit = fixture.build(bench.engine, bench.place, "built:kit", buildkit=True)
    steps = (fixture.DOCKERFILE + fixture.BUILDKIT_EXTRA).count("RUN ") + 1
    if kit.count("CACHED") != steps:
        raise AssertionError("BuildKit used its cache for %d of %d steps" % (kit.count("CACHED"), steps))
    for tag, image_id in before.items():
        if bench.engine.api("/images/%s/json" % tag)["Id"] != image_id:
            raise AssertionError("rebuilding %s made another image" % tag)


def check_everything_goes(bench):
    engine = bench.engine
    engine.docker("system", "df", "-v")
    engine.docker("container", "prune", "-f")
    engine.docker("image", "prune", "-a", "-f")
    engine.docker("builder", "prune", "-a", "-f")
    left = engine.api("/images/json", all=1) + engine.api("/containers/json", all=1)
    if left:
        raise AssertionError("not removable: %s" % left)
    driver = engine.api("/info")["Driver"]
    layers = [
        name
        for name in os.listdir(layer_folder(bench, driver))
        if len(name) >= 25 and not name.startswith("back")
    ]
    if layers:
        raise AssertionError("removed all, but %d layers stay in %s: %s" % (len(layers), driver, layers[0]))


def layer_folder(bench, driver):
    return os.path.join(bench.home(driver), {"vfs": "dir", "btrfs": "subvolumes"}.get(driver, ""))


def null_life(bench, source):
    """What the pairs ask of a migrated root, asked of one that was not migrated."""
    bench.take_source(source)
    bench.engine.start()
    live_on(bench)
    bench.engine.stop()


def pairs():
    return [
        (name, target)
        for name in sources()
        for target in DRIVERS
        if name.split("@")[0] in DRIVERS
        and target != name.split("@")[0]
        and takes(target, name.split("@")[1])
    ] + list(OLD_OVERLAY_PAIRS)


def cases():
    """(name, source that it needs, function of the bench)"""
    found = [
        ("source/" + name, None, lambda bench, name=name: make_source(bench, name))
        for name in sources() + list(SOURCES_FOR_AUFS)
    ]
    found.append(
        ("observer/detects", "overlay2@ext4", lambda bench: observer_detects(bench, "overlay2@ext4"))
    )
    for driver in DRIVERS + ("overlay",):
        name = source_of(driver)
        found.append(("null/" + driver, name, lambda bench, name=name: null_life(bench, name)))
    for name, target in pairs():
        driver, filesystem = name.split("@")
        found.append(
            (
                "pair/%s-to-%s@%s" % (driver, target, filesystem),
                name,
                lambda bench, name=name, target=target: pair(bench, name, target),
            )
        )
    return found
