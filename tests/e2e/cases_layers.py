"""drover layers: what it tells of a store is what the engine says of it (docker history, ps -s, diff, system df)."""
import json
import os
import xml.etree.ElementTree

import fixture
from bench import AS_NOBODY, fingerprint, require_equal

SOURCES = ("overlay2@ext4", "fuse-overlayfs@ext4", "vfs@xfs", "btrfs@btrfs", "overlay@ext4")
# A database of 8 MiB, written to in one place, and a file that only changes its owner; hostile text for the pictures.
DOCKERFILE = b"""FROM base:1
RUN mkdir /db && dd if=/dev/zero of=/db/table bs=1M count=8 && cp /db/table /db/owned && cp /db/table /db/gone
ENV TEXT="<script>&amp; ]]> \\\\N \xff"
RUN echo "</svg>" >/db/note
"""
# Containers with changes that the engine does not see where it compares by size and time: times that were forged, and
# files whose only change is another name.
UNSEEN = ("forged", "links")
CHANGE = """
echo changed | dd of=/db/table bs=1 seek=4000000 conv=notrunc; chown 5 /db/owned; rm /db/gone
echo new >/db/new
"""


def agrees(bench, source):
    bench.take_source(source)
    bench.engine.start()
    bench.engine.docker("build", "--network", "none", "-t", "db:1", "-", input_bytes=DOCKERFILE)
    fixture.run_container(bench.engine, "db", "db:1", [], CHANGE)
    fixture.wait_for_exits(bench.engine)
    seen = ask_engine(bench.engine)
    beside = layers(bench)
    if not beside["engine_running"]:
        raise AssertionError("the engine that runs is not seen")
    bench.engine.stop()
    before = fingerprint(bench.place)
    check_tree(layers(bench), seen, bench.driver)
    for image in seen["images"].values():
        check_image(layers(bench, image["Id"]), image, seen)
    for name, container in seen["containers"].items():
        check_container(bench, layers(bench, name, "--no-trunc"), container, seen["changes"][name])
    check_small_writes(layers(bench, "db"))
    check_pictures(bench)
    require_equal(before, fingerprint(bench.place), "layers reads only, but on disk there are")


def layers(bench, *arguments):
    return json.loads(bench.drover("layers", *arguments, "--format", "json").out)


def ask_engine(engine):
    use = engine.api("/system/df")
    images = {image["Id"]: image for image in engine.api("/images/json", all=1)}
    containers = {
        container["Names"][0].lstrip("/"): container
        for container in engine.api("/containers/json", all=1, size=1)
    }
    return {
        "images": images,
        "history": {i: engine.api("/images/%s/history" % i) for i in images},
        "shared": {image["Id"]: image["SharedSize"] for image in use["Images"] or []},
        "shown": {image["Id"] for image in engine.api("/images/json")},
        "containers": containers,
        "changes": {
            name: {
                change["Path"]: "CAD"[change["Kind"]]
                for change in engine.api("/containers/%s/changes" % name) or []
            }
            for name in containers
        },
    }


def check_tree(tree, seen, driver):
    """docker images, docker system df -v, docker ps -s."""
    images = {"sha256:" + image["id"]: image for image in tree["images"]}
    require_equal(sorted(seen["shown"]), sorted(images), "docker images and layers have other images:")
    for image_id, image in images.items():
        require_equal(seen["images"][image_id]["Size"], image["bytes"], "size of %s:" % image_id)
        require_equal(seen["shared"][image_id], image["shared_bytes"], "shared size of %s:" % image_id)
    require_equal(
        sorted(seen["containers"]),
        sorted(c["name"] for c in tree["containers"]),
        "the containers are others:",
    )
    for container in tree["containers"]:
        shown = seen["containers"][container["name"]]
        check_size(container["bytes"], shown.get("SizeRw", 0), driver, container["name"])
    if tree["problems"]:
        raise AssertionError("problems in a sound store: %r" % tree["problems"])


def check_size(found, shown, driver, name):
    """As the engine counts. fuse-overlayfs's and the old overlay's numbers include their marks' bytes, or what the
    init layer has: seen as a few hundred bytes."""
    if driver != "overlay2" and name in UNSEEN:
        return
    allowed = 0 if driver in ("overlay2", "vfs", "btrfs") else 1000
    if abs(found - shown) > allowed:
        raise AssertionError("container %s: docker ps -s says %d, layers %d" % (name, shown, found))


def check_image(stack, image, seen):
    """docker history: the lines that made a layer, newest first, and their sizes."""
    lines = [(line["CreatedBy"], line["Size"], line["Comment"]) for line in seen["history"][image["Id"]]]
    shown = [(layer["created_by"], layer["bytes"], layer["comment"]) for layer in stack["layers"]]
    # The engine does not say which lines made an empty layer: those with a size must be there, in this order.
    require_equal([line for line in lines if line[1]], [line for line in shown if line[1]], "docker history:")
    if stack["history_remark"]:
        raise AssertionError("image %s: %s" % (image["Id"], stack["history_remark"]))
    require_equal(image["Size"], stack["bytes"], "size of image %s:" % image["Id"])
    for layer in stack["layers"]:
        if not os.path.isdir(layer["place"]):
            raise AssertionError("layer %s is not in %s" % (layer["chain_id"], layer["place"]))


def check_container(bench, stack, container, changes):
    """docker diff: every file changed or added is named, and all that was deleted is hidden."""
    own = stack["layers"][0]
    content = own["content"]
    name = container["Names"][0].lstrip("/")
    roles = [layer["role"] for layer in stack["layers"][:2]]
    if roles != ["writable", "init"] or not os.path.isdir(own["place"]):
        raise AssertionError("the top of %s: %s in %s" % (name, roles, own["place"]))
    check_size(own["bytes"], container.get("SizeRw", 0), bench.driver, name)
    told = {entry["path"] for entry in content["added"]["largest"] + content["copied_up"]["largest"]}
    hidden = {entry["path"] for entry in content["hidden"]["largest"]}
    for path, kind in changes.items():
        if kind == "D" and not any(path == h or path.startswith(h + "/") for h in hidden):
            raise AssertionError("%s: %s was deleted, and is not hidden" % (name, path))
        if kind != "D" and is_file(own["place"] + path) and path not in told:
            raise AssertionError("%s: %s was changed (%s), and is not told" % (name, path, kind))
    gone = {path for path, kind in changes.items() if kind == "D"}
    for entry in content["hidden"]["largest"]:
        if entry["how"] == "whiteout" and entry["path"] not in gone and bench.driver != "fuse-overlayfs":
            raise AssertionError("%s: %s is told hidden, docker diff has it not" % (name, entry))
    extra = {path for path in told if path not in changes}
    # Through fuse-overlayfs and the old overlay the engine misses more.
    if extra and name not in UNSEEN and bench.driver not in ("fuse-overlayfs", "overlay"):
        raise AssertionError("%s: told changed, docker diff has it not: %s" % (name, extra))


def is_file(path):
    """Names that are no UTF-8 are none here: the engine spells them otherwise."""
    return os.path.lexists(path) and (os.path.islink(path) or not os.path.isdir(path))


def check_small_writes(stack):
    content = stack["layers"][0]["content"]
    require_equal(
        {"/db/table": 4096, "/db/owned": 0},
        {entry["path"]: entry["changed_bytes"] for entry in content["small_writes"]["largest"]},
        "small writes:",
    )
    require_equal(
        [["/db/gone", 8 << 20, "whiteout"]],
        [[entry["path"], entry["bytes"], entry["how"]] for entry in content["hidden"]["largest"]],
        "hidden:",
    )
    if "volume" not in stack["advice"]:
        raise AssertionError("no advice: %r" % stack["advice"])


def check_pictures(bench):
    for arguments in ([], ["db"], ["db:1"], ["--no-trunc"], ["rich:2", "--no-trunc"]):
        picture = bench.drover("layers", *arguments, "--format", "svg").out
        root = xml.etree.ElementTree.fromstring(picture.encode())
        if not root.tag.endswith("svg") or any(element.tag.endswith("script") for element in root.iter()):
            raise AssertionError("no picture: %s" % root.tag)
        graph = bench.drover("layers", *arguments, "--format", "dot").out
        if not graph.startswith("digraph ") or not graph.endswith("}\n"):
            raise AssertionError("no graph: %r" % graph[:100])
    bench.drover("info", "--format", "svg", expect=2)


def names_resolve(bench, source):
    """As docker's own do, and an ambiguous one is an error that names the candidates."""
    bench.take_source(source)
    bench.engine.start()
    asked = ["rich:1", "another/name", "another/name:latest", "docker.io/library/rich:1", "edits", "deep"]
    images = bench.engine.api("/images/json")
    asked += [image["Id"] for image in images] + [image["Id"][7:19] for image in images]
    containers = bench.engine.api("/containers/json", all=1)
    asked += [container["Id"][:n] for container in containers for n in (12, 64)]
    wanted = {name: json.loads(bench.engine.docker("inspect", name))[0]["Id"] for name in asked}
    bench.engine.stop()
    for name, wanted_id in wanted.items():
        require_equal(wanted_id.removeprefix("sha256:"), layers(bench, name)["id"], "layers %s means" % name)
    first = {}
    for one in [image["Id"][7:] for image in images] + [container["Id"] for container in containers]:
        first.setdefault(one[0], []).append(one)
    for digit, ids in first.items():
        if 1 < len(ids) <= 8:
            ran = bench.drover("layers", digit, expect=1)
            if [one for one in ids if one[:12] not in ran.err]:
                raise AssertionError("the candidates are not named: %r" % ran.err)
    bench.drover("layers", "no-such-thing", expect=1)
    bench.drover("layers", "rich:1", expect=1, through=AS_NOBODY)


def survives_migration(bench, source, target):
    """The same is told of the same store under another driver, but where it is."""
    bench.take_source(source)
    before = {name: told(layers(bench, *name)) for name in ((), ("rich:2",), ("edits",), ("deletions",))}
    bench.drover("migrate", "--to", target, "--yes")
    after = {name: told(layers(bench, *name)) for name in before}
    require_equal(
        {str(name): value for name, value in before.items()},
        {str(name): value for name, value in after.items()},
        "layers tells",
    )


def told(report):
    """Without what each driver has its own of."""
    report = {key: report[key] for key in report if key not in ("driver", "other_layers", "advice")}
    for layer in report["layers"]:
        layer.pop("place", None)
        if layer.get("content"):
            # A directory that was made again is one mark in a delta, and many names that are gone in a tree.
            for key in ("added", "copied_up", "hidden", "directories", "hidden_bytes"):
                layer["content"].pop(key)
    return report


def cases():
    found = [
        ("layers/agrees-" + source, source, lambda bench, source=source: agrees(bench, source))
        for source in SOURCES
    ]
    found.append(("layers/names", "overlay2@ext4", lambda bench: names_resolve(bench, "overlay2@ext4")))
    for target in ("vfs", "fuse-overlayfs"):
        found.append(
            (
                "layers/overlay2-and-" + target,
                "overlay2@ext4",
                lambda bench, target=target: survives_migration(bench, "overlay2@ext4", target),
            )
        )
    return found
