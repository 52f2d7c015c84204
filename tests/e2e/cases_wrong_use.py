"""Wrong use: the documented exit code, one message, a hint, and nothing touched."""
import contextlib
import json
import os
import shutil
import signal

import trees
from bench import AS_NOBODY, fingerprint, require_equal

SOURCE = "overlay2@ext4"
WITHOUT_SYS_ADMIN = ("setpriv", "--bounding-set", "-sys_admin")
IN_USER_NAMESPACE = ("unshare", "--user", "--map-root-user")


@contextlib.contextmanager
def nothing_changes(bench):
    before, config = fingerprint(bench.place), bench.config_bytes()
    yield
    require_equal(before, fingerprint(bench.place), "refused, but on disk there are")
    if bench.config_bytes() != config:
        raise AssertionError("refused, but the config has changed")


def refused(bench, code, *arguments, mention="", **more):
    """One message and one hint on stderr, nothing on stdout that looks like success."""
    with nothing_changes(bench):
        ran = bench.drover(*arguments, expect=code, **more)
    require_message(ran, mention)


def require_message(ran, mention=""):
    messages = [line for line in ran.err.splitlines() if line.startswith("drover: ")]
    hints = [line for line in ran.err.splitlines() if line.startswith("hint: ")]
    if len(messages) != 1:
        raise AssertionError("%d messages instead of one: %r" % (len(messages), ran.err))
    if not hints:
        raise AssertionError("no hint: %r" % ran.err)
    if mention not in ran.err:
        raise AssertionError("%r is not named: %r" % (mention, ran.err))


def engine_running(bench):
    bench.take_source(SOURCE)
    bench.engine.start()
    for command in (["migrate", "--to", "vfs", "--yes"], ["rollback", "--yes"]):
        ran = bench.drover(*command, expect=11)
        require_message(ran)
    require_message(bench.drover("commit", "--yes", expect=1))  # needs no stopped engine, but a migration
    bench.engine.api("/info")
    bench.engine.stop()
    bench.check_all(bench.before, bench.driver)


def container_outlives_engine(bench, source):
    """vfs needs no mounts: nothing but its process tells of a container whose engine was killed."""
    bench.take_source(source)
    bench.engine.start()
    bench.engine.docker("run", "-d", "--name", "stays", "--network", "none", "base:1", "sleep", "1000")
    process = bench.engine.api("/containers/stays/json")["State"]["Pid"]
    bench.engine.kill()
    ran = bench.drover("migrate", "--to", "overlay2", "--yes", expect=11)
    require_message(ran, "stays")
    os.kill(process, signal.SIGKILL)
    # The engine cleans up after it, and without it there is nothing in the way.
    bench.engine.start()
    bench.engine.docker("rm", "-f", "stays")
    bench.engine.stop()
    bench.drover("migrate", "--to", "overlay2", "--yes")
    bench.check_all(bench.before, "overlay2")


def container_outlives_new_engine(bench, source):
    """What still runs would go on writing into what a rollback gives up, or takes back."""
    bench.take_source(source)
    bench.drover("migrate", "--to", "vfs", "--yes")
    bench.engine.start()
    bench.engine.docker("run", "-d", "--name", "stays", "--network", "none", "base:1", "sleep", "1000")
    process = bench.engine.api("/containers/stays/json")["State"]["Pid"]
    bench.engine.kill()
    require_message(bench.drover("rollback", "--yes", expect=11), "stays")
    os.kill(process, signal.SIGKILL)
    bench.engine.start()
    bench.engine.stop()
    bench.drover("rollback", "--yes")
    bench.check_all(bench.before, bench.driver)


def migrate_refused(bench, code, target, source=SOURCE, mention="", **more):
    bench.take_source(source)
    refused(bench, code, "migrate", "--to", target, "--yes", mention=mention or target, **more)


def no_target(bench):
    bench.take_source(SOURCE)
    with nothing_changes(bench):
        bench.drover("migrate", "--yes", expect=2)
        bench.drover("migrate", "--to", "vfs", "--no-such-option", expect=2)
        bench.drover("no-such-verb", expect=2)


def without_yes(bench):
    """Without a terminal there is nobody to ask: only --yes goes on."""
    bench.take_source(SOURCE)
    with nothing_changes(bench):
        ran = bench.drover("migrate", "--to", "vfs", expect=None)
    if ran.code == 0:
        raise AssertionError("migrated without being told to")


def dry_run(bench):
    bench.take_source(SOURCE)
    for target in ("vfs", "fuse-overlayfs"):
        with nothing_changes(bench):
            bench.drover("migrate", "--to", target, "--dry-run")


def no_space(bench):
    """Full trees of everything need more than is free."""
    bench.take_source(SOURCE)
    free = os.statvfs(bench.place.disk)
    fill = free.f_bavail * free.f_frsize - (8 << 20)
    with open(os.path.join(bench.place.disk, "ballast"), "wb") as file:
        os.posix_fallocate(file.fileno(), 0, fill)
    refused(bench, 1, "migrate", "--to", "vfs", "--yes", mention="space")


def not_a_data_root(bench):
    bench.take_source(SOURCE)
    shutil.rmtree(bench.place.root)
    refused(bench, 1, "migrate", "--to", "vfs", "--yes", mention=bench.place.root)
    os.mkdir(bench.place.root)
    refused(bench, 1, "migrate", "--to", "vfs", "--yes", mention=bench.place.root)
    os.makedirs(os.path.join(bench.place.root, "overlay2/l"))
    with open(os.path.join(bench.place.root, "notes"), "w") as file:
        file.write("something else\n")
    refused(bench, 1, "migrate", "--to", "vfs", "--yes", mention=bench.place.root)


def damaged(bench, damage, mention):
    """migrate refuses and touches nothing; verify names the damage."""
    bench.take_source(SOURCE)
    mention = damage(bench) or mention
    refused(bench, 1, "migrate", "--to", "vfs", "--yes", mention=mention)
    with nothing_changes(bench):
        ran = bench.drover("verify", expect=None)
    if ran.code == 0 or mention not in ran.out + ran.err:
        raise AssertionError("verify ends with %d and does not name %s" % (ran.code, mention))


def lose_layer(bench):
    inspected = image_of(bench, "rich:1")
    layer = trees.top_cache_id(bench.place.root, bench.driver, inspected["RootFS"]["Layers"][:3])
    shutil.rmtree(os.path.join(bench.home(bench.driver), layer))


def break_container_config(bench):
    container = bench.before["engine"]["container inspect"]["/edits"]["Id"]
    path = os.path.join(bench.place.root, "containers", container, "config.v2.json")
    with open(path, "r+") as file:
        text = file.read()
        file.seek(0)
        file.truncate()
        file.write(text[: len(text) // 2])
    return container[:12]


def truncate_record(bench):
    open(os.path.join(layer_records(bench, "rich:1", 2), "cache-id"), "w").close()


def parent_cycle(bench):
    """The second layer of an image names its fourth as its parent."""
    with open(os.path.join(layer_records(bench, "rich:1", 2), "parent"), "w") as file:
        file.write("sha256:" + os.path.basename(layer_records(bench, "rich:1", 4)))


def truncate_tar_split(bench):
    path = os.path.join(layer_records(bench, "rich:1", 2), "tar-split.json.gz")
    os.truncate(path, os.path.getsize(path) // 2)


def break_image_config(bench):
    image = image_of(bench, "rich:1")["Id"].removeprefix("sha256:")
    path = os.path.join(bench.place.root, "image", bench.driver, "imagedb/content/sha256", image)
    os.truncate(path, os.path.getsize(path) - 1)
    return image[:12]


def break_repositories(bench):
    path = os.path.join(bench.place.root, "image", bench.driver, "repositories.json")
    os.truncate(path, os.path.getsize(path) - 2)


def image_of(bench, tag):
    for image in bench.before["engine"]["image inspect"].values():
        if tag in image["RepoTags"]:
            return image
    raise KeyError(tag)


def layer_records(bench, tag, count):
    """The folder of the records of an image's layer, by how many layers it is high."""
    wanted = trees.chain_id(image_of(bench, tag)["RootFS"]["Layers"][:count])
    return os.path.join(bench.place.root, "image", bench.driver, "layerdb/sha256", wanted)


def bad_config(bench):
    """A daemon.json that is no JSON is not rewritten."""
    bench.take_source(SOURCE)
    with open(bench.place.config, "w") as file:
        file.write('{"storage-driver": "overlay2",,}\n')
    refused(bench, 1, "migrate", "--to", "vfs", "--yes", mention=bench.place.config)


def info_while_stopped_and_running(bench):
    bench.take_source(SOURCE)
    images = len(bench.before["engine"]["images"])
    for running in (False, True):
        if running:
            bench.engine.start()
        told = json.loads(bench.drover("info", "--format", "json").out)
        store = [store for store in told["stores"] if store["driver"] == bench.driver]
        drivers = {driver["driver"]: driver for driver in told["drivers"]}
        found = {
            "root": told["data_root"],
            "driver": told["driver"],
            "type": told["backing_filesystem"]["type"],
            "running": told["engine"]["running"],
            "active": store[0]["active"],
            "images": store[0]["images"],
            "containers": store[0]["containers"],
            "hidden": store[0]["hidden_reason"] or None,
            "btrfs": drivers["btrfs"]["usable"],
            "overlay2": drivers["overlay2"]["usable"],
        }
        wanted = {
            "root": bench.place.root,
            "driver": bench.driver,
            "type": "extfs",
            "running": running,
            "active": True,
            "images": images,
            "containers": len(bench.before["engine"]["containers"]),
            "hidden": None,
            "btrfs": False,
            "overlay2": True,
        }
        for driver in drivers.values():
            if not {"driver", "usable", "reason", "fix", "recommended"} <= set(driver):
                raise AssertionError("keys are missing: %s" % driver)
        require_equal(wanted, found, "info (engine running: %s) says" % running)
    bench.engine.stop()
    bench.check_all(bench.before, bench.driver)


def cases():
    found = [
        ("wrong/engine-running", engine_running),
        ("wrong/unknown-driver", lambda bench: migrate_refused(bench, 2, "overlay3")),
        ("wrong/same-driver", lambda bench: migrate_refused(bench, 2, "overlay2")),
        ("wrong/btrfs-on-ext4", lambda bench: migrate_refused(bench, 10, "btrfs")),
        ("wrong/no-zfs", lambda bench: migrate_refused(bench, 10, "zfs")),
        ("wrong/no-aufs", lambda bench: migrate_refused(bench, 10, "aufs")),
        ("wrong/devicemapper", lambda bench: migrate_refused(bench, 10, "devicemapper")),
        ("wrong/no-root", lambda bench: migrate_refused(bench, 1, "vfs", mention="root", through=AS_NOBODY)),
        (
            "wrong/no-cap-sys-admin",
            lambda bench: migrate_refused(
                bench, 1, "vfs", mention="CAP_SYS_ADMIN", through=WITHOUT_SYS_ADMIN
            ),
        ),
        (
            "wrong/user-namespace",
            lambda bench: migrate_refused(bench, 1, "vfs", mention="namespace", through=IN_USER_NAMESPACE),
        ),
        ("wrong/usage", no_target),
        ("wrong/without-yes", without_yes),
        ("wrong/dry-run", dry_run),
        ("wrong/no-space", no_space),
        ("wrong/not-a-data-root", not_a_data_root),
        ("wrong/bad-config", bad_config),
        ("info/stopped-and-running", info_while_stopped_and_running),
    ]
    for name, damage in (
        ("missing-layer", lose_layer),
        ("container-config", break_container_config),
        ("truncated-record", truncate_record),
        ("parent-cycle", parent_cycle),
        ("truncated-tar-split", truncate_tar_split),
        ("image-config", break_image_config),
        ("repositories", break_repositories),
    ):
        mention = {
            "missing-layer": "rich:",
            "truncated-record": "rich:",
            "parent-cycle": "rich:",
            "repositories": "repositories.json",
            "truncated-tar-split": "rich:",
        }.get(name, "")
        found.append(("wrong/damaged-" + name, lambda bench, d=damage, m=mention: damaged(bench, d, m)))
    return [(name, SOURCE, function) for name, function in found] + [
        ("wrong/container-runs", "vfs@ext4", lambda bench: container_outlives_engine(bench, "vfs@ext4")),
        (
            "wrong/container-runs-at-rollback",
            SOURCE,
            lambda bench: container_outlives_new_engine(bench, SOURCE),
        ),
    ]
