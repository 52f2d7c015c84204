"""Export and import: everything a data root holds goes through one archive into another one, of any driver; and other
tools' archives."""
import json
import os
import shutil
import subprocess

import fixture
import observe
import trees
from bench import Skip, require_equal
from cases_engines import newer_engine
from cases_pairs import all_containers, containers_before, start_old_containers
from layers import Archive, Layer

# Each driver once as what is exported and once as what it is imported into, on every filesystem; and one with itself.
JOURNEYS = (
    ("overlay2@ext4", "vfs"),
    ("overlay2@xfs", "overlay2"),
    ("vfs@ext4", "overlay2"),
    ("vfs@xfs", "fuse-overlayfs"),
    ("fuse-overlayfs@ext4", "vfs"),
    ("overlay2@btrfs", "btrfs"),
    ("btrfs@btrfs", "fuse-overlayfs"),
)
# Between these the same content is the same archive: both keep deltas with overlay's marks, or both whole trees.
ALIKE = (("overlay2@ext4", "overlay2"), ("vfs@ext4", "vfs"))


def archive_of(bench):
    return os.path.join(bench.place.disk, "all.drover")


def export(bench, *arguments, to=None):
    bench.drover("export", "-o", to or archive_of(bench), "--progress", "none", *arguments)


def start_afresh(bench, driver):
    """The data root goes aside, and the engine is to have an empty one under another driver. What no archive carries,
    volumes and networks, is taken along as a user would."""
    old = bench.place.root + ".old"
    os.rename(bench.place.root, old)
    with open(bench.place.config) as file:
        bench.write_config({**json.load(file), "storage-driver": driver})
    os.mkdir(bench.place.root, 0o710)
    for name in ("volumes", "network"):
        os.rename(os.path.join(old, name), os.path.join(bench.place.root, name))
    return old


def without_build_cache(seen):
    """An archive carries none."""
    engine = seen["engine"]
    return {**seen, "engine": {**engine, "disk use": {**engine["disk use"], "build cache": {}}}}


def journey(bench, source, target):
    bench.take_source(source)
    export(bench)
    shutil.rmtree(start_afresh(bench, target))
    bench.drover("import", "-i", archive_of(bench), "--progress", "none")
    bench.check_disk_shows(bench.before, target)
    bench.drover("verify")
    bench.engine.start()
    bench.check_running_engine_shows(without_build_cache(bench.before), target)
    start_old_containers(bench.engine, set(fixture.CONTAINERS) & containers_before(bench))
    bench.engine.stop()


def same_again(bench, source, target):
    """Export, import, export: one archive, byte for byte; whatever it is compressed with, and through a pipe."""
    bench.take_source(source)
    digests = {}
    for compress in ("zstd", "gzip", "none"):
        export(bench, "--compress", compress)
        digests[compress] = digest(archive_of(bench))
    command = bench.command("export", "--compress", "none", "--progress", "none")
    old = None
    with open(archive_of(bench) + ".piped", "wb") as file:
        subprocess.run(command, stdout=file, check=True)
    old = start_afresh(bench, target)
    with open(archive_of(bench) + ".piped", "rb") as file:
        subprocess.run(bench.command("import", "--progress", "none"), stdin=file, check=True)
    shutil.rmtree(old)
    for compress, before in digests.items():
        export(bench, "--compress", compress)
        if digest(archive_of(bench)) != before:
            raise AssertionError("the archive (%s) is another one after import and export" % compress)


def digest(path):
    return subprocess.run(["sha256sum", path], stdout=subprocess.PIPE, check=True).stdout.split()[0]


def one_container(bench, source, target):
    """One container of a host with many, into a data root that has half of its layers already."""
    bench.take_source(source)
    export(bench, "deletions")
    other = archive_of(bench) + ".image"
    export(bench, "base:1", to=other)
    shutil.rmtree(start_afresh(bench, target))
    bench.drover("import", "-i", other, "--progress", "none")
    home = {"vfs": "dir", "btrfs": "subvolumes"}.get(target, "")
    before = set(os.listdir(os.path.join(bench.home(target), home)))
    ran = bench.drover("import", "-i", archive_of(bench), "--progress", "none", "--format", "json")
    told = json.loads(ran.out)
    if told["containers"] != 1 or not told["shared_layers"] or not told["new_layers"]:
        raise AssertionError("imported: %s" % told)
    made = set(os.listdir(os.path.join(bench.home(target), home))) - before - {"l"}
    if len(made) != told["new_layers"] + 2:
        raise AssertionError("%d layers are new, expected %d" % (len(made), told["new_layers"] + 2))
    bench.engine.start()
    if all_containers(bench.engine) != {"deletions"}:
        raise AssertionError("there are the containers %s" % all_containers(bench.engine))
    require_equal(
        bench.before["engine"]["container diff"]["/deletions"],
        observe.observe(bench.engine)["container diff"]["/deletions"],
        "docker diff shows",
    )
    start_old_containers(bench.engine, {"deletions"})
    bench.engine.stop()
    bench.drover("verify")


def conflicts(bench, source):
    """A second time: refused and nothing changed; and each of the ways to settle it."""
    bench.take_source(source)
    export(bench, "edits")
    ran = bench.drover("import", "-i", archive_of(bench), "--progress", "none", expect=1)
    if "container edits: there is one of this name" not in ran.err or "--on-conflict" not in ran.err:
        raise AssertionError("no word of the conflict: %s" % ran.err)
    bench.check_disk_shows(bench.before, bench.driver)
    bench.drover("import", "-i", archive_of(bench), "--progress", "none", "--on-conflict", "skip")
    bench.check_all(bench.before, bench.driver)
    bench.drover("import", "-i", archive_of(bench), "--progress", "none", "--on-conflict", "rename")
    bench.engine.start()
    bench.engine.docker("start", "edits", "edits-imported")
    for name in ("edits", "edits-imported"):
        bench.engine.docker("wait", name)
        if not bench.engine.docker("logs", name).rstrip().endswith("again"):
            raise AssertionError("container %s did not find its own files" % name)
    bench.engine.stop()
    bench.drover("import", "-i", archive_of(bench), "--progress", "none", "--on-conflict", "replace", "--yes")
    bench.engine.start()
    if bench.engine.docker("logs", "edits").rstrip().endswith("again"):
        raise AssertionError("container edits was not replaced")
    bench.engine.docker("start", "edits")
    bench.engine.docker("rm", "-f", "edits", "edits-imported")
    bench.engine.stop()


def engines_read_it(bench, source):
    """The images of our archive by `docker load`, of 20.10 and of newer engines."""
    bench.take_source(source)
    export(bench, "--compress", "gzip")
    wanted = saved_tags(bench)
    shutil.rmtree(start_afresh(bench, "overlay2"))

    def load(engine):
        engine.docker("load", "-i", archive_of(bench))
        have = {tag: i["Id"] for i in engine.api("/images/json") for tag in observe.tags(i)}
        if have != wanted:
            raise AssertionError("loaded %s, expected %s" % (have, wanted))
        engine.docker("run", "--rm", "--network", "none", "rich:1", "test", "-e", "/srv/opaque/new")
        engine.docker("rmi", "-f", *sorted(set(have.values())))

    bench.engine.start()
    load(bench.engine)
    bench.engine.stop()
    with newer_engine(bench, "trixie") as engine:
        load(engine)


def saved_tags(bench):
    return {
        tag: image["Id"] for image in bench.before["engine"]["images"].values() for tag in observe.tags(image)
    }


def tools_read_it(bench, source):
    """skopeo and podman."""
    require_tools()
    bench.take_source(source)
    export(bench, "rich:1")
    image = bench.before["engine"]["image inspect"][saved_tags(bench)["rich:1"]]
    shown = json.loads(run("skopeo", "inspect", "--config", "oci-archive:%s:rich:1" % archive_of(bench)))
    if shown["rootfs"]["diff_ids"] != image["RootFS"]["Layers"]:
        raise AssertionError("skopeo sees the layers %s" % shown["rootfs"]["diff_ids"])
    copy = os.path.join(bench.place.disk, "copy")
    run("skopeo", "copy", "oci-archive:%s:rich:1" % archive_of(bench), "dir:" + copy)
    loaded = podman(bench, "load", "-i", archive_of(bench))
    ids = podman(bench, "images", "--no-trunc", "--quiet").split()
    if image["Id"] not in ids:
        raise AssertionError("podman loaded %s (%s), not %s" % (ids, loaded, image["Id"]))


def reads_tools(bench, source, target):
    """What docker save, skopeo and podman wrote."""
    require_tools()
    bench.take_source(source)
    disk = bench.place.disk
    bench.engine.start()
    bench.engine.docker("save", "-o", disk + "/save.tar", "rich:1", "built:kit")
    bench.engine.stop()
    run("skopeo", "copy", "docker-archive:%s/save.tar:rich:1" % disk, "oci-archive:%s/oci.tar:rich:1" % disk)
    podman(bench, "load", "-i", disk + "/save.tar")
    podman(bench, "save", "--format", "oci-archive", "-o", disk + "/podman.tar", "rich:1")
    images = bench.before["engine"]["image inspect"]
    layers = {tag: images[i]["RootFS"]["Layers"] for tag, i in saved_tags(bench).items()}
    shutil.rmtree(start_afresh(bench, target))
    for name, tags in (
        ("save.tar", ("built:kit", "rich:1")),
        ("oci.tar", ("rich:1",)),
        ("podman.tar", ("rich:1",)),
    ):
        bench.drover("import", "-i", os.path.join(disk, name), "--progress", "none")
        bench.drover("verify")
        bench.engine.start()
        have = {
            tag.removeprefix("localhost/"): image["Id"]
            for image in bench.engine.api("/images/json")
            for tag in observe.tags(image)
        }
        # The other tools write a configuration of their own, but the layers are the same.
        require_equal(
            {tag: layers[tag] for tag in tags},
            {tag: bench.engine.api("/images/%s/json" % i)["RootFS"]["Layers"] for tag, i in have.items()},
            "imported from " + name,
        )
        rich = have["rich:1"]
        bench.engine.docker("run", "--rm", "--network", "none", rich, "test", "-e", "/srv/opaque/new")
        bench.engine.docker("save", "-o", disk + "/again.tar", rich)
        bench.engine.docker("rmi", "-f", *sorted(set(have.values())))
        bench.engine.stop()


def require_tools():
    missing = [tool for tool in ("skopeo", "podman") if shutil.which(tool) is None]
    if missing:
        raise Skip("%s is not installed" % " and ".join(missing))


def run(*command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=300)
    if done.returncode != 0:
        raise AssertionError(
            "%s: exit %d: %s" % (" ".join(command), done.returncode, done.stderr.decode().strip()[-300:])
        )
    return done.stdout.decode()


def podman(bench, *arguments):
    disk = bench.place.disk
    return run(
        "podman",
        "--root",
        disk + "/podman",
        "--runroot",
        bench.place.run + "/podman",
        "--storage-driver",
        "vfs",
        *arguments
    )


def killed(bench, source):
    """Killed at whatever point: given up, it leaves no trace; resumed, it is all there."""
    bench.take_source(source)
    export(bench, "links")
    start_afresh(bench, bench.driver)
    bench.engine.start()
    small = make_small_archive(bench)
    bench.engine.docker("load", "-i", small)
    bench.engine.stop()
    before = tree_of(bench.place.root)
    for call in ("rename,renameat,renameat2", "linkat", "mkdirat"):
        for count in (1, 3, 9, 30):
            for way in ("rollback", "resume"):
                was_killed = kill_import(bench, call, count)
                if was_killed and (way == "rollback" or not resumed(bench)):
                    bench.drover("rollback", "--yes", expect=None)  # it may not have begun
                    require_equal(before, tree_of(bench.place.root), "after rollback of an import")
                    continue
                bench.drover("verify")
                bench.engine.start()
                start_old_containers(bench.engine, {"links"})
                bench.engine.docker("rm", "links")
                bench.engine.docker("image", "prune", "-af")
                bench.engine.docker("load", "-i", small)
                bench.engine.stop()
                before = tree_of(bench.place.root)


def resumed(bench):
    """Whether there was something to resume: it must come to its end then."""
    ran = bench.drover("import", "--resume", expect=None)
    if ran.code != 0 and "before it had read all" not in ran.err and "no import to resume" not in ran.err:
        raise AssertionError("an import cannot be resumed: %s" % ran.err)
    return ran.code == 0


def make_small_archive(bench):
    path = os.path.join(bench.place.disk, "small.tar")
    archive = Archive()
    archive.image(["small:1"], [Layer().file(b"small", b"small").tar()])
    archive.write(path)
    return path


def kill_import(bench, call, count):
    """True if it was killed at that call, false if it came to its end before."""
    command = [
        "strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=" + call,
        "-e", "inject=%s:signal=SIGKILL:when=%d" % (call, count),
        *bench.command("import", "-i", archive_of(bench), "--progress", "none", "--jobs", "1"),
    ]  # fmt: skip
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=300)
    print("$ import killed at %s number %d: %d" % (call, count, done.returncode), flush=True)
    return done.returncode != 0


def tree_of(root):
    """All that lies there, but for the times: an import that is given up has made and removed folders. What a killed
    drover tries a driver out in is removed by the next one that does."""
    facts = {path: fact for path, fact in trees.walk(root).items() if not path.startswith(".drover-probe-")}
    for fact in facts.values():
        fact.pop("mtime", None)
    return facts


def cases():
    found = [
        (
            "archive/%s-to-%s" % (source, target),
            source,
            lambda bench, source=source, target=target: journey(bench, source, target),
        )
        for source, target in JOURNEYS
    ]
    found += [
        (
            "archive/again-%s" % source,
            source,
            lambda bench, source=source, target=target: same_again(bench, source, target),
        )
        for source, target in ALIKE
    ]
    found += [
        (
            "archive/one-container-to-%s" % target,
            source,
            lambda bench, source=source, target=target: one_container(bench, source, target),
        )
        for source, target in (("overlay2@ext4", "vfs"), ("vfs@ext4", "overlay2"))
    ]
    found += [
        (name, source, lambda bench, act=act, arguments=arguments: act(bench, *arguments))
        for name, source, act, arguments in (
            ("archive/conflicts", "overlay2@ext4", conflicts, ["overlay2@ext4"]),
            ("archive/docker-load", "vfs@ext4", engines_read_it, ["vfs@ext4"]),
            ("archive/skopeo-and-podman-read-it", "overlay2@ext4", tools_read_it, ["overlay2@ext4"]),
            ("archive/of-other-tools-to-overlay2", "vfs@ext4", reads_tools, ["vfs@ext4", "overlay2"]),
            ("archive/of-other-tools-to-vfs", "overlay2@ext4", reads_tools, ["overlay2@ext4", "vfs"]),
            ("archive/killed", "overlay2@ext4", killed, ["overlay2@ext4"]),
        )
    ]
    return found
