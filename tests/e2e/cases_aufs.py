"""aufs, for which no kernel is at hand: a data root that engine 20.10 wrote under a real one, and round trips.

tests/data/aufs-docker-20.10.tar.zst holds that root as `docker/`: images by import, build and commit; of its
containers c1 has edits, deletions and an opaque directory's file deleted, c2 was killed and has a volume, c3
never ran. It lay at /data/docker. What an engine would show of an aufs home is worked out by aufs.py."""
import hashlib
import json
import os
import subprocess

import aufs
import machine
import observe
from bench import require_equal
from cases_return import require_absent

FIXTURE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../data/aufs-docker-20.10.tar.zst")
CHANGES = {
    "/c1": {"/etc": "C", "/etc/c": "A", "/etc/two": "D", "/opq": "C", "/opq/new": "D"},
    "/c2": {"/v": "A"},
    "/c3": {},
}
REAL_TARGETS = (
    ("overlay2", "ext4"),
    ("overlay2", "xfs"),
    ("fuse-overlayfs", "ext4"),
    ("vfs", "ext4"),
    ("overlay", "ext4"),
    ("btrfs", "btrfs"),
)
OVER = ("overlay2", "fuse-overlayfs", "vfs", "overlay")
DELTAS = ("overlay2", "fuse-overlayfs")


def take_real_root(bench, filesystem):
    """Unpacks the fixture. Returns what its own records say, in the form of observe()."""
    machine.make_filesystem(bench.image, filesystem)
    machine.mount(bench.image, filesystem, bench.place)
    subprocess.run(["tar", "--zstd", "--xattrs", "-xf", FIXTURE, "-C", bench.place.disk], check=True)
    bench.write_config({"storage-driver": "aufs"})
    bench.driver = "aufs"
    containers = os.path.join(bench.place.root, "containers")
    for container in os.listdir(containers):
        path = os.path.join(containers, container, "config.v2.json")
        with open(path, "r+b") as file:
            text = file.read().replace(b"/data/docker/", bench.place.root.encode() + b"/")
            file.seek(0)
            file.write(text)
            file.truncate()
    return read_records(bench.place.root)


def read_records(root):
    def read(*path):
        with open(os.path.join(root, *path), "rb") as file:
            return file.read()

    contents = os.path.join(root, "image/aufs/imagedb/content/sha256")
    seen = {"container inspect": {}, "image inspect": {}, "volumes": {}, "logs": {}, "tags": {}}
    for image in os.listdir(contents):
        config = json.loads(read(contents, image))
        if hashlib.sha256(read(contents, image)).hexdigest() != image:
            raise AssertionError("the fixture is damaged: image %s" % image)
        seen["image inspect"]["sha256:" + image] = {"RootFS": {"Layers": config["rootfs"]["diff_ids"]}}
    for names in json.loads(read("image/aufs/repositories.json"))["Repositories"].values():
        seen["tags"].update(names)
    for container in os.listdir(os.path.join(root, "containers")):
        config = json.loads(read("containers", container, "config.v2.json"))
        seen["container inspect"][config["Name"]] = config
        config["Id"] = container
        log = read(config["LogPath"]).splitlines() if config["LogPath"] else []
        config["Log"] = [json.loads(line)["log"] for line in log]
    seen["volumes"]["vol1"] = {"Mountpoint": os.path.join(root, "volumes/vol1/_data")}
    return seen


def check_engine_agrees(bench, seen):
    """The running engine shows what the records said under aufs."""
    shown = observe.observe(bench.engine)  # compares each saved layer's digest with the image's own list
    require_equal(
        {image: facts["RootFS"]["Layers"] for image, facts in seen["image inspect"].items()},
        {image: facts["RootFS"]["Layers"] for image, facts in shown["image inspect"].items()},
        "images and their layers:",
    )
    require_equal(
        seen["tags"],
        {tag: image for image, facts in shown["images"].items() for tag in observe.tags(facts)},
        "tags:",
    )
    require_equal(CHANGES, shown["container diff"], "docker diff shows")
    for name, config in seen["container inspect"].items():
        facts = shown["container inspect"][name]
        require_equal(
            {
                "Id": config["Id"],
                "Image": config["Image"],
                "Path": config["Path"],
                "Args": config["Args"],
                "Created": config["Created"],
                "ExitCode": config["State"]["ExitCode"],
                "StartedAt": config["State"]["StartedAt"],
                "FinishedAt": config["State"]["FinishedAt"],
            },
            {
                **{key: facts[key] for key in ("Id", "Image", "Path", "Args", "Created")},
                **{key: facts["State"][key] for key in ("ExitCode", "StartedAt", "FinishedAt")},
            },
            "container %s:" % name,
        )
        text = shown["container logs"][name]
        if any(line.strip() not in text for line in config["Log"]) or bool(text) != bool(config["Log"]):
            raise AssertionError("logs of %s: %r" % (name, text))
    require_equal({"vol1"}, set(shown["volumes"]), "volumes:")


def live_on(bench):
    """Old containers start, images run, build and go."""
    docker = bench.engine.docker
    docker("start", "c1", "c3")
    docker("wait", "c1", "c3")
    if docker("logs", "c1").count("hello") != 2:
        raise AssertionError("c1 did not run again: %s" % docker("logs", "c1"))
    docker("start", "c2")
    if docker("exec", "c2", "/bin/sh", "-c", "cat /v/f; cat /etc/base").split() != ["v", "base"]:
        raise AssertionError("c2 does not show its volume and image")
    docker("kill", "c2")
    docker("wait", "c2")
    docker("commit", "c1", "kept:1")
    test = "cat /etc/c && [ ! -e /etc/two ] && [ ! -e /etc/gone ] && [ ! -e /opq/old ] && [ ! -e /opq/new ]"
    docker("run", "--rm", "--network", "none", "kept:1", "/bin/sh", "-c", test)
    docker("build", "--network", "none", "-", input_bytes=b"FROM app:2\nRUN rm /etc/base && touch /made\n")
    docker("container", "prune", "-f")
    docker("image", "prune", "-a", "-f")
    left = bench.engine.api("/images/json", all=1)
    if left:
        raise AssertionError("not removable: %s" % left)


def real_to(bench, target, filesystem):
    """A root written under a real aufs kernel, to each other driver."""
    seen = take_real_root(bench, filesystem)
    bench.drover("info")
    bench.drover("verify")
    seen = {"engine": seen, "disk": observe.observe_disk(bench.place, "aufs", seen)}
    ran = bench.drover("migrate", "--to", target, "--yes", "--format", "json")
    if target in DELTAS:
        check_no_data_moved(bench, target, json.loads(ran.out)["files"])
    bench.check_disk_shows(seen, target)
    bench.drover("verify")
    bench.engine.start()
    bench.check_driver(target)
    check_engine_agrees(bench, seen["engine"])
    live_on(bench)
    bench.engine.stop()


def check_no_data_moved(bench, target, files):
    """Every file of an image layer is the old one's inode; only containers' files are new."""
    (kept,) = [
        os.path.join(bench.place.root, "drover", name, "kept/home")
        for name in os.listdir(os.path.join(bench.place.root, "drover"))
        if os.path.isdir(os.path.join(bench.place.root, "drover", name, "kept/home"))
    ]
    shared = 0
    chains = os.path.join(bench.place.root, "image", target, "layerdb/sha256")
    for chain in os.listdir(chains):
        with open(os.path.join(chains, chain, "cache-id")) as file:
            layer = file.read()
        old, new = os.path.join(kept, "diff", layer), os.path.join(bench.home(target), layer, "diff")
        for folder, _, names in os.walk(new):
            for name in names:
                ours = os.lstat(os.path.join(folder, name))
                before = os.path.join(old, os.path.relpath(folder, new), name)
                if not os.path.lexists(before):
                    continue  # a whiteout, which has another name there
                if os.lstat(before).st_ino != ours.st_ino:
                    raise AssertionError("%s is a copy" % os.path.join(folder, name))
                shared += 1
    if shared < 15 or not files["linked"] or files["copied_bytes"] > 4096:
        raise AssertionError("data was moved: %d names shared, %s" % (shared, files))


def real_round_trip(bench, over):
    """aufs, another driver, and aufs again: the branches are as they were, or (over a tree) show the same."""
    seen = take_real_root(bench, "ext4")
    home = bench.home("aufs")
    shown = observe.observe_disk(bench.place, "aufs", seen)
    branches, skeleton = aufs.branches(home), aufs.skeleton(home)
    bench.drover("migrate", "--to", over, "--yes")
    bench.drover("commit", "--yes")
    require_absent(home)
    bench.drover("migrate", "--to", "aufs", "--force", "--yes")
    bench.drover("verify")
    require_equal(skeleton, aufs.skeleton(home), "the home holds")
    require_equal(shown, observe.observe_disk(bench.place, "aufs", seen), "the disk holds")
    if over in DELTAS:
        require_equal(branches, aufs.branches(home), "the branches hold")
    bench.drover("commit", "--yes")
    require_absent(bench.home(over))


def round_trip(bench, source):
    """The suite's own fixture to aufs, where its views must be the same, and back to where it came from."""
    bench.take_source(source)
    start = bench.driver
    bench.drover("migrate", "--to", "aufs", "--force", "--yes")
    require_equal(
        bench.before["disk"],
        observe.observe_disk(bench.place, "aufs", bench.before["engine"]),
        "under aufs the disk holds",
    )
    bench.drover("verify")
    bench.drover("commit", "--yes")
    bench.drover("migrate", "--to", start, "--yes")
    bench.check_all(bench.before, start)


def odd_leftovers(bench):
    """Names that are both present and deleted, and pseudo-links that were never flushed: carried and told of."""
    seen = take_real_root(bench, "ext4")
    root = bench.place.root
    diff = os.path.join(bench.home("aufs"), "diff")
    with open(os.path.join(root, "image/aufs/repositories.json")) as file:
        image = json.load(file)["Repositories"]["app"]["app:1"]
    (layer,) = [name for name in os.listdir(diff) if os.path.exists(os.path.join(diff, name, "blob"))]
    open(os.path.join(diff, layer, ".wh.blob"), "w").close()
    (container,) = [name for name in os.listdir(diff) if os.path.exists(os.path.join(diff, name, "v"))]
    open(os.path.join(diff, container, ".wh..wh.plnk/12.34"), "w").close()
    os.makedirs(os.path.join(diff, container, ".wh..wh.orph/.wh.deleted"))
    os.mkdir(os.path.join(diff, container, ".wh.v"))  # no whiteout: those are files
    notes = json.loads(bench.drover("migrate", "--to", "overlay2", "--yes", "--format", "json").out)["notes"]
    for text in ("`blob` is in its tar both as present and as deleted", "left 1 pseudo-link"):
        if not any(text in note for note in notes):
            raise AssertionError("no word of it: %s" % notes)
    bench.engine.start()
    check_engine_agrees(bench, seen)
    docker = bench.engine.docker
    docker("run", "--rm", "--network", "none", image, "/bin/sh", "-c", "[ -s /blob ]")
    bench.engine.stop()


def refused(bench, source, where):
    """aufs as a target is refused, by force only where no filesystem stands in the way; nothing is changed."""
    bench.take_source(source)
    config = bench.config_bytes()
    for force in ([], ["--force"]) if where == "btrfs" else ([],):
        ran = bench.drover("migrate", "--to", "aufs", "--yes", *force, expect=10)
        word = "refuses aufs on btrfs" if where == "btrfs" else "--force"
        if word not in ran.err:
            raise AssertionError("no word of `%s`: %s" % (word, ran.err))
    require_absent(bench.home("aufs"), os.path.join(bench.place.root, "drover"))
    if bench.config_bytes() != config:
        raise AssertionError("the config was changed")
    bench.check_all(bench.before, bench.driver)


def cases():
    found = [
        (
            "aufs/real-to-%s@%s" % (target, filesystem),
            None,
            lambda bench, target=target, filesystem=filesystem: real_to(bench, target, filesystem),
        )
        for target, filesystem in REAL_TARGETS
    ]
    found += [
        ("aufs/real-over-%s" % over, None, lambda bench, over=over: real_round_trip(bench, over))
        for over in OVER
    ]
    found.append(("aufs/odd-leftovers", None, odd_leftovers))
    for driver in ("overlay2", "fuse-overlayfs", "vfs"):
        source = driver + "+aufs@ext4"
        found.append(
            (
                "aufs/round-trip-" + driver,
                source,
                lambda bench, source=source: round_trip(bench, source),
            )
        )
    for source in ("overlay2@ext4", "overlay2@btrfs"):
        where = source.split("@")[1]
        found.append(
            (
                "aufs/refused@" + where,
                source,
                lambda bench, source=source, where=where: refused(bench, source, where),
            )
        )
    return found
