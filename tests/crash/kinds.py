"""The kinds of run that are cut: what is there before, the command, and the ways on from wherever it is cut."""
import dataclasses
import os
import shutil
import typing

MIGRATE_RESUME = ("migrate", "--resume", "--yes")
ROLLBACK = ("rollback", "--yes")
COMMIT = ("commit", "--yes")


@dataclasses.dataclass(frozen=True)
class Kind:
    name: str
    make: typing.Callable  # fills a mounted disk
    command: tuple  # what is cut
    forward: tuple  # what goes on where that has begun; where it has not, the command itself is given again
    back: tuple  # what goes back, or nothing
    filesystem: str = "ext4"
    runs_before: bool = True  # whether this kernel's engine has the driver that is there before
    moves_root: bool = False
    on_two_disks: bool = False  # the new root is on one of its own
    draws_ids: bool = False  # no two runs end alike
    replaces: tuple = ()  # containers: between the two an engine finds neither
    adds: bool = False  # to what is there: of the new an engine may find a part, of the old all


def sample(host, driver="overlay2"):
    host.write_config({"storage-driver": "overlay2"})
    host.make_sample_root()
    host.run_engine_once()
    if driver != "overlay2":
        host.drover("migrate", "--to", driver, "--force", "--yes")
        host.drover(*COMMIT)
        if driver != "aufs":
            host.run_engine_once()


def migrated(host, driver="vfs"):
    sample(host)
    host.drover("migrate", "--to", driver, "--yes")
    host.run_engine_once()


def renamed(host):
    sample(host)
    host.drover("migrate", "--to", "fuse-overlayfs", "--move", "--yes")
    # What an engine has removed since is taken out of the old records on the way back.
    host.run_engine_once("rm worker", "rmi sample-app:slim")


def movable(host):
    os.makedirs(os.path.dirname(host.new_root), exist_ok=True)
    host.write_config({"data-root": host.root, "storage-driver": "overlay2"})
    host.make_sample_root()
    host.run_engine_once()


def moved(host):
    movable(host)
    host.drover("migrate", "--to-root", host.new_root, "--to", "vfs", "--yes")
    host.run_engine_once()


def importable(host):
    """A root that has an image, and with it some of the layers, of the archive beside it."""
    sample(host)
    host.drover("export", "-o", host.archive)
    host.drover("export", "-o", host.archive + ".base", "sample-base:1")
    host.remove_root()
    host.write_config({"storage-driver": "overlay2"})
    os.mkdir(host.root, 0o710)
    host.run_engine_once()
    host.drover("import", "-i", host.archive + ".base")
    host.run_engine_once()


def conflicting(host):
    """A root whose container is not any more what it was when it was exported."""
    sample(host)
    host.drover("export", "-o", host.archive)
    host.run_engine_once("start -a worker")


def empty(host):
    host.write_config({"storage-driver": "overlay2", "debug": False})
    os.mkdir(host.root, 0o710)
    host.run_engine_once()
    for name in ("overlay2", "image"):  # an empty store would do for a reason to stay with its driver
        shutil.rmtree(os.path.join(host.root, name))


def _migration(name, source, target, *flags, **more):
    return Kind(
        name,
        lambda host: sample(host, source),
        # With one thread the changes come in the same order each time: a number is a place.
        ("migrate", "--to", target, *flags, "--yes", "--jobs", "1"),
        MIGRATE_RESUME,
        ROLLBACK,
        **more,
    )


def _root_move(name, **more):
    command = ("migrate", "--to-root", "NEW_ROOT", "--to", "vfs", "--yes", "--jobs", "1")
    return Kind(name, movable, command, MIGRATE_RESUME, ROLLBACK, moves_root=True, **more)


def _import(name, make, work, *flags, **more):
    command = ("import", "-i", os.path.join(work, name, "all.drover"), *flags)
    return Kind(name, make, command, ("import", "--resume"), ROLLBACK, adds=True, draws_ids=True, **more)


def all_kinds(work):
    """`work` has a folder for each, in which an import's archive is."""
    return [
        _migration("delta-to-delta", "overlay2", "fuse-overlayfs"),
        _migration("delta-to-tree", "overlay2", "vfs"),
        _migration("tree-to-delta", "vfs", "overlay2"),
        _migration("tree-to-tree", "btrfs", "vfs", filesystem="btrfs"),
        _migration("aufs-to-overlay2", "aufs", "overlay2", runs_before=False),
        _migration("renamed", "overlay2", "fuse-overlayfs", "--move"),
        _migration("renamed-marks", "aufs", "overlay2", "--move", runs_before=False),
        # What one file's sync takes along is another thing on each filesystem.
        _migration("delta-on-xfs", "overlay2", "fuse-overlayfs", filesystem="xfs"),
        _migration("delta-on-btrfs", "overlay2", "fuse-overlayfs", filesystem="btrfs"),
        _root_move("to-root"),
        _root_move("to-root-elsewhere", on_two_disks=True),
        _import("import", importable, work),
        _import(
            "import-replacing", conflicting, work, "--on-conflict", "replace", "--yes", replaces=("/worker",)
        ),
        Kind("commit", migrated, COMMIT, COMMIT, ()),
        Kind("commit-of-move", moved, COMMIT, COMMIT, (), moves_root=True),
        Kind("rollback", migrated, ROLLBACK, ROLLBACK, ()),
        Kind("rollback-of-renamed", renamed, ROLLBACK, ROLLBACK, ()),
        Kind("rollback-of-move", moved, ROLLBACK, ROLLBACK, (), moves_root=True),
        Kind(
            "select",
            empty,
            ("select", "--driver", "vfs", "--yes"),
            ("select", "--driver", "vfs", "--yes"),
            (),
        ),
    ]
