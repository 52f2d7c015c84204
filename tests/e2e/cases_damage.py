"""Damage in the source: `migrate --keep-going` leaves it behind with what needs it, and the engine shows
exactly the rest; the way back leads to all that was there."""
import base64
import errno
import gzip
import json
import os
import re
import shutil
import subprocess

import machine
import observe
import trees
from bench import parts_of, require_equal
from cases_pairs import NOT_STARTABLE, start_old_containers
from cases_return import require_absent
from cases_wrong_use import image_of, layer_records

# What observe() tells that sums up over all images, or of layers that nobody shows.
SUMS = ("image save", "disk use", "counts")


def keep_going(bench, source, target, damage):
    """Exit 3, the rest in the engine, which starts its containers; commit is refused; rollback."""
    bench.take_source(source)
    images, containers = damage(bench)
    shown = lists(bench)
    before, config = store_files(bench), bench.config_bytes()
    ran = bench.drover("migrate", "--to", target, "--yes", "--keep-going", expect=3)
    require_named(bench, ran, images, containers)
    bench.drover("verify")
    bench.engine.start()
    bench.check_driver(target)
    check_rest(bench, images, containers)
    started = {name.lstrip("/") for name in bench.before["engine"]["containers"]} - containers - NOT_STARTABLE
    start_old_containers(bench.engine, started)
    bench.engine.docker("run", "--rm", "--network", "none", "base:1", "true")
    bench.engine.stop()
    ran = bench.drover("commit", "--yes", expect=1)
    if "--discard-left-behind" not in ran.err:
        raise AssertionError("commit does not say how to discard what was left behind: %s" % ran.err)
    bench.drover("rollback", "--yes")
    if bench.config_bytes() != config:
        raise AssertionError("the engine's config is not what it was: %r" % bench.config_bytes())
    require_equal(before, store_files(bench), "the data root has")
    require_equal(shown, lists(bench), "the engine shows")


def discard(bench, source, target, damage):
    """The old data goes with what was left behind once that is asked for; then the engine lives on the rest."""
    bench.take_source(source)
    images, containers = damage(bench)
    bench.drover("migrate", "--to", target, "--yes", "--keep-going", expect=3)
    bench.drover("commit", "--yes", "--discard-left-behind")
    require_absent(bench.home(bench.driver), os.path.join(bench.place.root, "drover"))
    bench.engine.start()
    check_rest(bench, images, containers)
    bench.engine.stop()


def read_error(bench, source, target, choose):
    """A block of a file whose checksum in btrfs is wrong: reading it fails with EIO. That the target has the very
    extents of a file tells nothing of whether they can be read."""
    bench.take_source(source)
    images, containers, path = choose(bench)
    break_block(bench, path, parts_of(source)[2])
    shown = lists(bench)
    ran = bench.drover("migrate", "--to", target, "--yes", expect=12)
    if "nput/output error" not in ran.err:
        raise AssertionError("the message does not tell of the read error: %s" % ran.err)
    bench.drover("rollback", "--yes")
    ran = bench.drover("migrate", "--to", target, "--yes", "--keep-going", expect=3)
    if "nput/output error" not in ran.out:
        raise AssertionError("the result does not tell of the read error: %s" % ran.out)
    bench.drover("verify")
    bench.engine.start()
    check_rest(bench, images, containers)
    bench.engine.stop()
    bench.drover("rollback", "--yes")
    require_equal(shown, lists(bench), "the engine shows")


def file_of_image(bench):
    images, containers, layer = of_layer(bench, "rich:1", 2)
    return images, containers, os.path.join(layer_folder(bench, layer), "kinds/zeros")


def file_of_container(bench):
    """Made in it, so that no layer below has its extents."""
    container = bench.before["engine"]["container inspect"]["/sparse"]["Id"]
    layer = trees.mount_id(bench.place.root, bench.driver, container)
    return set(), {"sparse"}, os.path.join(layer_folder(bench, layer), "sparse")


def break_block(bench, path, filesystem):
    """Changes a byte of the file below btrfs, which then refuses to read that block."""
    fragments = machine.run("filefrag", "-v", "-b4096", path)
    logical = int(re.search(r"^ *0: +[0-9]+\.\.[^:]*: +([0-9]+)\.\.", fragments, re.M).group(1)) * 4096
    machine.unmount(bench.place)
    # Of one block: asked for more than the last extent has, the tool prints it and exits with 1.
    mapped = machine.run("btrfs-map-logical", "-b", "4096", "-l", str(logical), bench.image)
    (physical,) = {int(place) for place in re.findall(r"logical %d physical ([0-9]+)" % logical, mapped)}
    with open(bench.image, "r+b") as image:
        image.seek(physical)
        byte = image.read(1)[0]
        image.seek(physical)
        image.write(bytes([byte ^ 1]))
    machine.mount(bench.image, filesystem, bench.place)
    try:
        with open(path, "rb") as file:
            file.read()
    except OSError as error:
        if error.errno != errno.EIO:
            raise
        return
    raise AssertionError("%s can still be read" % path)


# --- what the engine shows


def lists(bench):
    """What a damaged root shows by itself: images and containers, without what cannot be read."""
    bench.engine.start()
    images = {image["Id"]: sorted(observe.tags(image)) for image in bench.engine.api("/images/json", all=1)}
    containers = {
        container["Names"][0]: container["ImageID"]
        for container in bench.engine.api("/containers/json", all=1)
    }
    bench.engine.stop()
    return {"images": images, "containers": containers}


def check_rest(bench, images, containers):
    """All that the sound root showed but for these, whole and unchanged."""
    before, after = bench.before["engine"], observe.observe(bench.engine)
    gone = {"/" + name for name in containers}
    rest = {}
    for key, facts in before.items():
        if key not in SUMS:
            rest[key] = {name: fact for name, fact in facts.items() if name not in images | gone}
    for name, container in rest["containers"].items():
        if container["ImageID"] in images:  # shown by its ID where there is no image to name
            container["Image"] = after["containers"][name]["Image"]
    require_equal(rest, {key: after[key] for key in rest}, "the engine shows of the rest")
    saved = before["image save"]
    for member, digest in after["image save"].items():
        if member not in ("manifest.json", "repositories") and saved.get(member) != digest:
            raise AssertionError("docker save gives another %s" % member)
    configs = {os.path.basename(name).removesuffix(".json") for name in after["image save"]["manifest.json"]}
    wrong = configs & {image.removeprefix("sha256:") for image in images}
    if wrong:
        raise AssertionError("docker save has what was left behind: %s" % wrong)


def require_named(bench, ran, images, containers):
    """Each is left behind by name; or by its ID, where its own configuration is what would tell its name."""
    seen = bench.before["engine"]
    known = [observe.tags(seen["images"][image]) + [image[7:19]] for image in images]
    known += [[name, seen["container inspect"]["/" + name]["Id"][:12]] for name in containers]
    left = [line for line in ran.out.splitlines() if "Left Behind: " in line]
    for names in known:
        if not any(" %s: " % name in line for name in names for line in left):
            raise AssertionError("the result does not name %s" % names[0])


def store_files(bench):
    """All that the old setup is made of, with its times."""
    parts = ("image", "containers", "buildkit", bench.driver)
    tree = trees.walk(bench.place.root)
    return {path: facts for path, facts in tree.items() if "/" in path and path.split("/")[0] in parts}


# --- damage: each gives back the images (IDs) and containers (names) that must stay behind


def of_layer(bench, tag, count):
    """With a layer of an image; also the layer's name in the driver's home."""
    wanted = image_of(bench, tag)["RootFS"]["Layers"][:count]
    images = {
        image
        for image, facts in bench.before["engine"]["image inspect"].items()
        if (facts["RootFS"].get("Layers") or [])[:count] == wanted
    }
    containers = {
        name.lstrip("/")
        for name, facts in bench.before["engine"]["container inspect"].items()
        if facts["Image"] in images
    }
    return images, containers, trees.top_cache_id(bench.place.root, bench.driver, wanted)


def layer_folder(bench, layer):
    """Its own files."""
    below = {"overlay2": (layer, "diff"), "vfs": ("dir", layer), "btrfs": ("subvolumes", layer)}
    return os.path.join(bench.home(bench.driver), *below[bench.driver])


def flip_byte(bench):
    images, containers, layer = of_layer(bench, "rich:2", 6)
    path = os.path.join(layer_folder(bench, layer), "srv/gone")
    status = os.lstat(path)
    with open(path, "r+b") as file:
        file.write(b"B")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    return images, containers


def lose_layer(bench):
    images, containers, layer = of_layer(bench, "rich:1", 3)
    folder = layer_folder(bench, layer)
    shutil.rmtree(os.path.dirname(folder) if bench.driver == "overlay2" else folder)
    return images, containers


def lose_tar_split(bench):
    images, containers, _ = of_layer(bench, "fewer:1", 3)
    os.unlink(os.path.join(layer_records(bench, "fewer:1", 3), "tar-split.json.gz"))
    return images, containers


def change_tar_split(bench):
    """Whole as a stream and as JSON; the mode of its first member is another, and the header's checksum with it."""
    images, containers, _ = of_layer(bench, "fewer:1", 3)
    path = os.path.join(layer_records(bench, "fewer:1", 3), "tar-split.json.gz")
    with gzip.open(path) as file:
        first, *rest = file.read().splitlines(keepends=True)
    entry = json.loads(first)
    payload = bytearray(base64.b64decode(entry["payload"]))
    header = memoryview(payload)[-512:]  # what stands right before the member
    header[106] ^= 1
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    entry["payload"] = base64.b64encode(payload).decode()
    with gzip.open(path, "wb") as file:
        file.writelines([json.dumps(entry).encode() + b"\n", *rest])
    return images, containers


def cut_container_config(bench):
    container = bench.before["engine"]["container inspect"]["/edits"]["Id"]
    path = os.path.join(bench.place.root, "containers", container, "config.v2.json")
    os.truncate(path, os.path.getsize(path) // 2)
    return set(), {"edits"}


def cut_image_config(bench):
    """Its container is shown and starts without it."""
    image = image_of(bench, "deep:1")["Id"]
    content = os.path.join(bench.place.root, "image", bench.driver, "imagedb/content/sha256")
    path = os.path.join(content, image.removeprefix("sha256:"))
    os.truncate(path, os.path.getsize(path) // 2)
    return {image}, set()


def journal_not_synced(bench, source):
    """A commit whose first word could not be made durable has not begun: the way back is still there."""
    bench.take_source(source)
    bench.drover("migrate", "--to", "vfs", "--yes")
    words = [bench.faults_binary(), *bench.command("commit", "--yes")[1:]]
    done = subprocess.run(
        words,
        env=dict(os.environ, DROVER_FAULT="EIO@fdatasync:journal"),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=300,
    )
    if done.returncode != 1 or b"cannot sync the migration's journal" not in done.stdout:
        raise AssertionError("exit %d: %r" % (done.returncode, done.stdout))
    bench.drover("rollback", "--yes")
    bench.check_all(bench.before, bench.driver)


def cases():
    damages = {
        "flipped-byte": flip_byte,
        "missing-layer": lose_layer,
        "missing-tar-split": lose_tar_split,
        "wrong-tar-split": change_tar_split,
        "container-config": cut_container_config,
        "image-config": cut_image_config,
    }
    found = [
        (
            "damage/%s-%s-to-%s" % (name, parts_of(source)[0], target),
            source,
            lambda bench, s=source, t=target, d=damage: keep_going(bench, s, t, d),
        )
        for source, target in (("overlay2@ext4", "vfs"), ("vfs@ext4", "overlay2"))
        for name, damage in damages.items()
    ]
    found.append(
        (
            "damage/discard",
            "overlay2@ext4",
            lambda bench: discard(bench, "overlay2@ext4", "vfs", lose_layer),
        )
    )
    found.append(
        (
            "damage/journal-not-synced",
            "overlay2@ext4",
            lambda bench: journal_not_synced(bench, "overlay2@ext4"),
        )
    )
    found += [
        (
            "damage/read-error%s-%s-to-%s" % (suffix, parts_of(source)[0], target),
            source,
            lambda bench, s=source, t=target, c=choose: read_error(bench, s, t, c),
        )
        for source, target in (("overlay2@btrfs", "vfs"), ("btrfs@btrfs", "overlay2"))
        for suffix, choose in (("", file_of_image), ("-of-container", file_of_container))
    ]
    return found
