"""Layers that are renamed instead of copied: an engine lives on the result, goes back, and keeps what it wrote."""
import json
import os

import aufs
import observe
from bench import require_equal
from cases_aufs import check_engine_agrees, live_on, take_real_root
from cases_return import require_absent


def inodes(home):
    """Of all that is in layers, folders and marks left out: nothing of it may be a copy afterwards."""
    found = set()
    for folder, _, names in os.walk(home):
        if "/diff" not in folder:
            continue
        for name in names:
            status = os.lstat(os.path.join(folder, name))
            if status.st_size > 0:
                found.add(status.st_ino)
    return found


def require_same_inodes(before, home):
    after = inodes(home)
    if not before or not before <= after:
        raise AssertionError("%d of %d files are copies" % (len(before - after), len(before)))


def without_links(disk):
    """fuse-overlayfs shows two names of a file that the kernel's overlay has copied up as two files: the layer still has
    the kernel's note of where it came from, which a copy leaves out."""

    def unlinked(tree):
        return {
            name: {key: value for key, value in facts.items() if key != "linked with"}
            for name, facts in tree.items()
        }

    return {
        what: unlinked(seen) if what.startswith("tree of container") else seen for what, seen in disk.items()
    }


def require_renamed(result):
    """All layers, but for those that a note names: what fuse-overlayfs writes down in some files another driver would show
    as content."""
    copied = result["layers"]["proven"] + result["layers"]["compared"] - result["layers"]["renamed"]
    named = [note for note in result["notes"] if "is copied with what it stands on, not renamed" in note]
    if not result["layers"]["renamed"] or (copied > 0 and not named):
        raise AssertionError("layers were copied: %s" % result)
    if result["from"] == "overlay2" and (result["files"]["copied"] or result["files"]["linked"]):
        raise AssertionError("layers were copied: %s" % result)


def there_and_back(bench, source, target):
    """Renamed, lived in, and back: images as they were, containers with what they have written, less what was removed."""
    bench.take_source(source)
    start, config = bench.driver, bench.config_bytes()
    before = inodes(bench.home(start))
    ran = bench.drover("migrate", "--to", target, "--move", "--yes", "--format", "json")
    result = json.loads(ran.out)
    require_renamed(result)
    if result["from"] == "overlay2":
        require_same_inodes(before, bench.home(target))
    require_equal(
        without_links(bench.before["disk"]),
        without_links(observe.observe_disk(bench.place, target, bench.before["engine"])),
        "the disk holds",
    )
    bench.drover("verify")
    bench.engine.start()
    bench.check_running_engine_shows(bench.before, target)
    docker = bench.engine.docker
    docker("run", "--name", "later", "--network", "none", "base:1", "sh", "-c", "echo later >/later")
    docker("start", "edits")
    docker("wait", "edits")
    docker("rm", "unchanged")
    written = docker("diff", "edits")
    bench.engine.stop()
    ran = bench.drover("rollback", "--yes")
    if "container unchanged was removed with the engine" not in ran.err:
        raise AssertionError("no word of the container that is gone: %s" % ran.err)
    if bench.config_bytes() != config:
        raise AssertionError("the engine's config is not what it was: %r" % bench.config_bytes())
    require_absent(
        bench.home(target),
        os.path.join(bench.place.root, "image", target),
        os.path.join(bench.place.root, "drover"),
    )
    require_same_inodes(before & inodes(bench.home(start)), bench.home(start))
    bench.drover("verify")
    bench.engine.start()
    bench.check_driver(start)
    shown = observe.observe(bench.engine)
    require_equal(bench.before["engine"]["images"], shown["images"], "images:")
    names = set(bench.before["engine"]["container inspect"])
    require_equal(names - {"/unchanged"}, set(shown["container inspect"]), "containers:")
    require_equal(
        sorted(written.split("\n")), sorted(docker("diff", "edits").split("\n")), "docker diff edits:"
    )
    docker("start", "edits")
    docker("wait", "edits")
    bench.engine.stop()


def aufs_there_and_back(bench, target):
    """A root that an engine wrote under a real aufs kernel: back before an engine has run, all branches are as they were."""
    seen = take_real_root(bench, "ext4")
    home = bench.home("aufs")
    shown = observe.observe_disk(bench.place, "aufs", seen)
    branches, skeleton, before = aufs.branches(home), aufs.skeleton(home), inodes(home)
    bench.drover("migrate", "--to", target, "--move", "--yes")
    require_same_inodes(before, bench.home(target))
    bench.drover("verify")
    bench.drover("rollback", "--yes")
    require_equal(skeleton, aufs.skeleton(home), "the home holds")
    require_equal(branches, aufs.branches(home), "the branches hold")
    require_equal(shown, observe.observe_disk(bench.place, "aufs", seen), "the disk holds")
    require_absent(bench.home(target), os.path.join(bench.place.root, "drover"))


def aufs_lived_in(bench, target):
    """The same, and an engine lives on it."""
    seen = take_real_root(bench, "ext4")
    before = inodes(bench.home("aufs"))
    bench.drover("migrate", "--to", target, "--move", "--no-proof", "--yes")
    require_same_inodes(before, bench.home(target))
    bench.drover("verify")
    bench.engine.start()
    bench.check_driver(target)
    check_engine_agrees(bench, seen)
    live_on(bench)
    bench.engine.stop()
    bench.drover("commit", "--yes")
    require_absent(bench.home("aufs"), os.path.join(bench.place.root, "drover"))


def cases():
    found = []
    for source, target in (("overlay2@ext4", "fuse-overlayfs"), ("overlay2@xfs", "fuse-overlayfs"),
                           ("fuse-overlayfs@ext4", "overlay2")):  # fmt: skip
        found.append(
            (
                "renamed/%s-to-%s" % (source, target),
                source,
                lambda bench, source=source, target=target: there_and_back(bench, source, target),
            )
        )
    for target in ("overlay2", "fuse-overlayfs"):
        for name, case in (("back", aufs_there_and_back), ("lived-in", aufs_lived_in)):
            found.append(
                (
                    "renamed/aufs-to-%s-%s" % (target, name),
                    None,
                    lambda bench, target=target, case=case: case(bench, target),
                )
            )
    return found
