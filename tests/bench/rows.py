"""The table of goals: what runs against what, and what it is told by."""
import dataclasses
import itertools
import json
import os
import typing

from contestants import Digest, Info, Migrate, SaveLoad, Verify, given_trees, rival


TREES = ("vfs", "btrfs")
PROOFS = {"no-proof": ["--no-proof"], "proof": []}
GOAL_MEMORY = 64 << 20


@dataclasses.dataclass
class Row:
    """`judge` makes, of the medians by contestant's name, the number that `goal` bounds; `unit` says what that is."""

    name: str
    filesystem: str
    roots: tuple
    make: typing.Callable  # of a Lab; the contestants, drover first
    goal: typing.Optional[float]
    unit: str = "ratio"
    cold: bool = False
    judge: typing.Optional[typing.Callable] = None
    full_only_goal: bool = False


def all_rows():
    return [
        *links(),
        *moves(),
        *copies(),
        *reflinks(),
        *engines(),
        *verifies(),
        *trees(),
        *infos(),
        *scales(),
        *memory(),
    ]


def links():
    """The layers' files need no copies: their names are made anew. cp -al links containers' files as well, and it reads
    nothing: the proof, which reads it all, goes on at the same time and has no goal of its own here."""
    for source, target in (
        ("aufs", "overlay2"),
        ("overlay2", "fuse-overlayfs"),
        ("fuse-overlayfs", "overlay2"),
    ):
        for filesystem, (proof, flags) in itertools.product(("ext4", "xfs"), PROOFS.items()):

            def make(lab, source=source, target=target, filesystem=filesystem, flags=flags):
                lab.require(*flags)
                root = lab.root("debian", source, filesystem)
                return [
                    Migrate(root, target, flags),
                    rival("cp -al", root.home, root.disk, "the old home, containers' layers too"),
                ]

            yield Row(
                "links/%s-to-%s@%s/%s" % (source, target, filesystem, proof),
                filesystem,
                ("debian",),
                make,
                1.2 if flags else None,
            )


def moves():
    for source, target in (
        ("aufs", "overlay2"),
        ("overlay2", "fuse-overlayfs"),
        ("fuse-overlayfs", "overlay2"),
    ):

        def make(lab, source=source, target=target):
            lab.require("--move", "--no-proof")
            root = lab.root("debian", source, "ext4")
            return [
                Migrate(root, target, ["--move", "--no-proof"]),
                rival("cp -al", root.home, root.disk, "the old home, containers' layers too"),
            ]

        yield Row("move/%s-to-%s@ext4" % (source, target), "ext4", ("debian",), make, None)


def copies():
    """Into another filesystem: each byte is read and written."""
    for filesystem, cache, (proof, flags) in itertools.product(
        ("ext4", "xfs"), ("warm", "cold"), PROOFS.items()
    ):

        def make(lab, filesystem=filesystem, flags=flags):
            lab.require(*flags)
            root = lab.root("debian", "overlay2", "ext4")
            other = lab.disk("b", filesystem)
            given = "the whole data root"
            return [
                Migrate(root, "overlay2", flags, to_disk=other),
                rival("cp -a", root.path, other, given),
                rival("tar | tar", root.path, other, given),
                rival("rsync -aHAX", root.path, other, given),
            ]

        goal = 0.7 if flags else 1.3
        name = "copy/overlay2@ext4-to-overlay2@%s/%s/%s" % (filesystem, cache, proof)
        yield Row(name, "ext4", ("debian",), make, goal, cold=cache == "cold")


def reflinks():
    """The rival copies trees where one of the two drivers keeps trees: of the source, or such as the target needs."""
    for filesystem, drivers in (
        ("xfs", ("overlay2", "fuse-overlayfs", "vfs")),
        ("btrfs", ("overlay2", "vfs", "btrfs")),
    ):
        for (source, target), (proof, flags) in itertools.product(
            itertools.permutations(drivers, 2), PROOFS.items()
        ):

            def make(lab, source=source, target=target, filesystem=filesystem, flags=flags):
                lab.require(*flags)
                root = lab.root("debian", source, filesystem)
                if target == "vfs" and source not in TREES:
                    trees, given = given_trees(root, target, root.disk), "trees as the new home has them"
                else:
                    trees, given = root.home, "the old home"
                return [
                    Migrate(root, target, flags),
                    rival("cp -a --reflink=always", trees, root.disk, given),
                ]

            name = "reflink/%s-to-%s@%s/%s" % (source, target, filesystem, proof)
            yield Row(name, filesystem, ("debian",), make, 1.2)


def engines():
    for source, target, filesystem in (
        ("overlay2", "vfs", "ext4"),
        ("overlay2", "fuse-overlayfs", "ext4"),
        ("vfs", "overlay2", "ext4"),
        ("overlay2", "vfs", "xfs"),
        ("overlay2", "btrfs", "btrfs"),
        ("btrfs", "overlay2", "btrfs"),
    ):

        def make(lab, source=source, target=target, filesystem=filesystem):
            root = lab.root("debian", source, filesystem)
            return [Migrate(root, target), SaveLoad(root, target)]

        yield Row("save-load/%s-to-%s@%s" % (source, target, filesystem), filesystem, ("debian",), make, 0.1)


def verifies():
    for cache in ("warm", "cold"):

        def make(lab):
            root = lab.root("debian", "overlay2", "ext4")
            return [Verify(root), Digest(root)]

        yield Row("verify/overlay2@ext4/" + cache, "ext4", ("debian",), make, 0.6, cold=cache == "cold")


def trees():
    """Each layer of vfs shows all that is below it. Needed: what containers' trees are copied from, which share no inodes;
    to be proven, these copies are read, what the source shows for them, and each image layer once."""
    for proof, flags in PROOFS.items():

        def make(lab, flags=flags):
            lab.require(*flags)
            return [Migrate(lab.root("debian", "overlay2", "ext4"), "vfs", flags)]

        def judge(lab, medians, proven=not flags):
            copied = json.loads(medians["drover"].out)["files"]["copied_bytes"]
            needed = copied + (
                2 * copied + layer_bytes(lab.root("debian", "overlay2", "ext4")) if proven else 0
            )
            return medians["drover"].read_by_calls / needed

        name = "tree/overlay2-to-vfs@ext4/" + proof
        yield Row(name, "ext4", ("debian",), make, 1.1, "bytes read / bytes needed", True, judge)


def layer_bytes(root):
    records, total = os.path.join(root.path, "image", root.driver, "layerdb/sha256"), 0
    for record in os.listdir(records):
        with open(os.path.join(records, record, "size")) as file:
            total += int(file.read())
    return total


def infos():
    for number, goal in ((0, 0.010), (2, 0.200)):

        def make(lab, number=number):
            return [Info(lab.root("layers/%d" % number, "overlay2", "ext4"))]

        def judge(lab, medians):
            return medians["drover info --no-size"].seconds

        name = "info/%s-layers" % ("few" if number == 0 else "many")
        yield Row(
            name, "ext4", ("layers/%d" % number,), make, goal, "seconds", False, judge, full_only_goal=True
        )


def scales():
    """Three sizes each: the time for each file, byte or layer must not grow with their number."""
    kinds = {
        "links": ([], False),
        "copy": ([], True),
        "move": (["--move", "--no-proof"], False),
    }
    for kind, (flags, to_disk) in kinds.items():
        for what in ("files", "bytes", "layers") if kind != "copy" else ("files", "bytes"):
            roots = tuple("%s/%d" % (what, n) for n in range(3))

            def make(lab, roots=roots, flags=flags, to_disk=to_disk, what=what):
                lab.require(*flags)
                runs = []
                for number, name in enumerate(roots):
                    root = lab.root(name, "overlay2", "ext4")
                    target = "overlay2" if to_disk else "fuse-overlayfs"
                    label = "drover, %d %s" % (lab.scale[what][number], what)
                    runs.append(
                        Migrate(root, target, flags, lab.disk("b", "ext4") if to_disk else None, label)
                    )
                return runs

            def judge(lab, medians, what=what, kind=kind):
                """Time a unit, of the largest to the middle one; a move's time for bytes and files, whole."""
                runs = list(medians.values())
                middle, largest = lab.scale[what][1], lab.scale[what][2]
                grown = runs[2].seconds / runs[1].seconds
                return grown if kind == "move" and what == "bytes" else grown / (largest / middle)

            unit = (
                "time, largest / middle"
                if (kind, what) == ("move", "bytes")
                else "time a unit, largest / middle"
            )
            yield Row("scale/%s/%s" % (kind, what), "ext4", roots, make, 1.3, unit, False, judge, True)


def memory():
    """Rows whose time is not the point; every other run of drover counts in the table's last line as well."""
    for what, target in (("files/2", "vfs"), ("sparse/2", "vfs"), ("layers/2", "vfs")):

        def make(lab, what=what, target=target):
            return [Migrate(lab.root(what, "overlay2", "ext4"), target)]

        def judge(lab, medians):
            return medians["drover"].peak / (1 << 20)

        name = "memory/%s-to-%s" % (what.split("/")[0], target)
        yield Row(name, "ext4", (what,), make, GOAL_MEMORY >> 20, "MiB", False, judge)
