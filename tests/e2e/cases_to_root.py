"""The whole data root onto another filesystem: volumes, networks, plugins and swarm with the images and containers."""
import glob
import json
import os
import shutil
import signal
import subprocess
import time

import bench as bench_module
import cases_interrupt
import cases_pairs
import machine
import observe
import trees
from bench import require_equal

NEW_DISK = "/run/e2e/new"
NEW_ROOT = NEW_DISK + "/docker"
# Made in the old root and in no fixture: what no engine makes, and what a plain copy loses.
SPARSE_BYTES = 1 << 30


class Move:
    """A source on its own filesystem, and an empty one of another kind beside it. The engine is told its root by
    daemon.json alone."""

    def __init__(self, bench, source, filesystem):
        self.bench = bench
        bench.take_source(source)
        self.old_root = bench.place.root
        self._mount_new(filesystem)
        with open(bench.place.config) as file:
            config = json.load(file)
        bench.write_config({"data-root": self.old_root, **config})
        self.config = bench.config_bytes()
        bench.engine.names_root = False
        self.new_place = machine.Place(NEW_DISK, bench.place.run, bench.place.cgroup, bench.place.engine_log)
        self.before = moved(bench.before, self.old_root, NEW_ROOT)
        self.untouched = self.fingerprint()

    def _mount_new(self, filesystem):
        image = self.bench.image + ".new"
        machine.make_filesystem(image, filesystem)
        os.makedirs(NEW_DISK)
        machine.run("mount", "-t", filesystem, "-o", "loop", image, NEW_DISK)
        os.unlink(image)  # it lives as long as the mount

    def command(self, *arguments):
        return [self.bench.drover_binary(), "--config", self.bench.place.config, *arguments]

    def drover(self, *arguments, expect=0):
        kept, self.bench.command = self.bench.command, self.command
        try:
            return self.bench.drover(*arguments, expect=expect)
        finally:
            self.bench.command = kept

    def migrate(self, to=None):
        return self.drover(
            "migrate", "--to-root", NEW_ROOT, *(["--to", to] if to else []), "--yes", "--progress", "plain"
        )

    def fingerprint(self):
        """Of the old root but drover's own folder; change times tell whether anything was touched."""
        own = os.path.join(self.old_root, "drover")
        facts = bench_module.fingerprint(self.bench.place)
        return {
            path: fact
            for path, fact in facts.items()
            if path.startswith(self.old_root + "/") and path != own and not path.startswith(own + "/")
        }

    def check_old_untouched(self):
        require_equal(self.untouched, self.fingerprint(), "the old root was touched:")

    def check_old(self):
        """The engine finds the old root by the configuration as it was."""
        if self.bench.config_bytes() != self.config:
            raise AssertionError("the engine's config is not what it was: %r" % self.bench.config_bytes())
        self.check_old_untouched()
        self.bench.check_all(self.bench.before, self.bench.driver)

    def check_new_disk(self, driver):
        require_equal(
            self.before["disk"],
            observe.observe_disk(self.new_place, driver, self.before["engine"]),
            "the new disk holds",
        )

    def check_new_engine(self, driver):
        """Which runs."""
        root = self.bench.engine.api("/info")["DockerRootDir"]
        if root != NEW_ROOT:
            raise AssertionError("the engine works in %s" % root)
        self.bench.check_driver(driver)
        before, after = self.before["engine"], observe.observe(self.bench.engine)
        if "fuse-overlayfs" in (driver, self.bench.driver):
            before, after = observe.without_export_links(before), observe.without_export_links(after)
        require_equal(without_volume_times(before), without_volume_times(after), "the engine shows")

    def check_new(self, driver):
        self.check_new_disk(driver)
        self.bench.engine.start()
        self.check_new_engine(driver)
        self.bench.engine.stop()

    def live_on_new(self):
        self.bench.home = lambda driver: os.path.join(NEW_ROOT, driver)
        cases_pairs.live_on(self.bench)


def moved(value, old, new):
    """The same with the old root's path replaced wherever a text begins with it."""
    if isinstance(value, dict):
        return {key: moved(item, old, new) for key, item in value.items()}
    if isinstance(value, list):
        return [moved(item, old, new) for item in value]
    if isinstance(value, str) and (value == old or value.startswith(old + "/")):
        return new + value[len(old) :]
    return value


def without_volume_times(seen):
    """The engine shows a volume's change time as the time when it was made, and no copy has the old one."""
    volumes = {
        name: {key: value for key, value in volume.items() if key != "CreatedAt"}
        for name, volume in seen["volumes"].items()
    }
    return {**seen, "volumes": volumes}


def full_move(bench, source, filesystem, to):
    """There, everything compared, and a life on the new root in which the old one is not needed."""
    move = Move(bench, source, filesystem)
    driver = to or bench.driver
    plan = move.drover("migrate", "--to-root", NEW_ROOT, *(["--to", to] if to else []), "--dry-run").out
    for part in ("New Data Root: " + NEW_ROOT, "All Else: ", '+   "data-root": "%s"' % NEW_ROOT):
        if part not in plan:
            raise AssertionError("the plan does not say %r: %s" % (part, plan))
    if os.path.lexists(NEW_ROOT):
        raise AssertionError("a dry run made the new root")
    move.check_old_untouched()
    move.migrate(to)
    move.check_old_untouched()
    move.check_new_disk(driver)
    move.drover("verify")
    shutil.move(move.old_root, move.old_root + ".away")  # nothing may need it
    bench.engine.start()
    move.check_new_engine(driver)
    check_volumes_are_used(bench)
    move.live_on_new()
    bench.engine.stop()


def check_volumes_are_used(bench):
    """A container that was there before finds what it wrote into its volumes, and writes on."""
    bench.engine.docker("start", "-a", "volume")
    shown = bench.engine.docker(
        "run",
        "--rm",
        "--network",
        "none",
        "-v",
        "data:/data",
        "base:1",
        "sh",
        "-c",
        "cat /data/file; echo x >/data/new",
    )
    if shown != "kept\n":
        raise AssertionError("the volume holds %r" % shown)
    if not os.path.exists(os.path.join(NEW_ROOT, "volumes/data/_data/new")):
        raise AssertionError("the volume is written to elsewhere")
    os.unlink(os.path.join(NEW_ROOT, "volumes/data/_data/new"))


def rollback(bench, source, filesystem, to):
    """After a life on the new root everything is as it was, and nothing of the new one is left."""
    move = Move(bench, source, filesystem)
    move.migrate(to)
    bench.engine.start()
    bench.engine.docker("volume", "create", "later")
    bench.engine.docker("tag", "base:1", "later:1")
    bench.engine.docker(
        "run",
        "--name",
        "later",
        "--network",
        "none",
        "-v",
        "data:/data",
        "base:1",
        "sh",
        "-c",
        "echo more >/data/file",
    )
    bench.engine.docker("rm", "unchanged")
    bench.engine.stop()
    ran = move.drover("rollback", "--yes")
    for part in (
        "containers made since: later",
        "volumes made since: later",
        "tags made since: later:1",
        "in volumes too",
    ):
        if part not in ran.err:
            raise AssertionError("does not say %r" % part)
    require_gone(NEW_ROOT, os.path.join(move.old_root, "drover"))
    move.check_old()


def commit(bench, source, filesystem, to):
    """The old data goes while the engine runs on the new root; what is not the engine's stays."""
    move = Move(bench, source, filesystem)
    with open(os.path.join(move.old_root, "notes.txt"), "w") as file:
        file.write("an admin's\n")
    move.migrate(to)
    bench.engine.start()
    ran = move.drover("commit", "--yes")
    if "volumes" not in ran.err or move.old_root not in ran.err:
        raise AssertionError("does not say what it deletes: %s" % ran.err)
    move.check_new_engine(to or bench.driver)
    bench.engine.stop()
    if os.listdir(move.old_root):
        raise AssertionError("left in the old root: %s" % os.listdir(move.old_root))
    require_gone(os.path.join(NEW_ROOT, "drover"))
    with open(os.path.join(NEW_ROOT, "notes.txt")) as file:
        if file.read() != "an admin's\n":
            raise AssertionError("the admin's file is another")
    move.check_new(to or bench.driver)


def refuses_commit(bench, source, filesystem):
    """An engine that was started on the old root by hand has changed it: a commit would delete that."""
    move = Move(bench, source, filesystem)
    move.migrate()
    new_config = bench.config_bytes()
    with open(bench.place.config, "wb") as file:
        file.write(move.config)
    ran = move.drover("commit", "--yes", expect=1)
    if "does not name the new root" not in ran.err:
        raise AssertionError("another reason: %s" % ran.err)
    bench.engine.start()
    bench.engine.docker("volume", "create", "on-the-old")
    bench.engine.stop()
    with open(bench.place.config, "wb") as file:
        file.write(new_config)
    ran = move.drover("commit", "--yes", expect=1)
    if "has changed since the switch" not in ran.err:
        raise AssertionError("another reason: %s" % ran.err)
    move.check_new(bench.driver)


def killed(move, to, lines):
    """Kills a move when its journal, in the new root, has that many lines."""
    log_path = os.path.join(move.bench.place.run, "killed.log")
    arguments = ["--to-root", NEW_ROOT, *(["--to", to] if to else []), "--yes", "--progress", "plain"]
    with open(log_path, "wb") as log:
        process = subprocess.Popen(
            move.command("migrate", *arguments), stdout=log, stderr=log, stdin=subprocess.DEVNULL
        )
    deadline = time.monotonic() + cases_interrupt.KILL_SECONDS
    while journal_lines() < lines and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.001)  # between two looks at the journal, which is the condition
    process.send_signal(signal.SIGKILL)
    if process.wait() != -signal.SIGKILL:
        with open(log_path) as text:
            raise AssertionError("ended before it could be killed: %s" % text.read().strip()[-400:])


def journal_lines():
    count = 0
    for path in glob.glob(os.path.join(NEW_ROOT, "drover/*/journal")):
        with open(path, "rb") as file:
            count += file.read().count(b"\n")
    return count


def kill_and_resume(bench, source, filesystem, to, lines):
    """The engine runs on the old root in between; what it has done there comes along."""
    move = Move(bench, source, filesystem)
    killed(move, to, lines)
    move.check_old()
    move.untouched = move.fingerprint()
    for arguments in (("migrate", "--to-root", NEW_ROOT, "--yes"), ("migrate", "--to", "vfs", "--yes")):
        ran = move.drover(*arguments, expect=11)
        if "--resume" not in ran.err or "rollback" not in ran.err:
            raise AssertionError("does not name both ways on: %s" % ran.err)
    shown = json.loads(move.drover("info", "--no-size", "--format", "json", expect=None).out)["migration"]
    if shown["state"] != "staging" or shown["to_root"] != NEW_ROOT:
        raise AssertionError("info says %s" % shown)
    volume = os.path.join(move.old_root, "volumes/data/_data/since")
    with open(volume, "w") as file:
        file.write("written while it was interrupted\n")
    move.untouched = move.fingerprint()
    move.drover("migrate", "--resume", "--yes", "--progress", "plain")
    move.check_old_untouched()
    os.unlink(os.path.join(NEW_ROOT, "volumes/data/_data/since"))
    move.drover("verify")
    bench.engine.start()
    bench.check_driver(to or bench.driver)
    cases_pairs.start_old_containers(
        bench.engine, {"edits", "links", "deep"} & cases_pairs.containers_before(bench)
    )
    check_volumes_are_used(bench)
    bench.engine.stop()


def kill_and_roll_back(bench, source, filesystem, to, lines):
    move = Move(bench, source, filesystem)
    killed(move, to, lines)
    move.check_old_untouched()
    move.drover("rollback", "--yes")
    require_gone(NEW_ROOT, os.path.join(move.old_root, "drover"))
    move.check_old()


def each_rename(bench, source, filesystem, to):
    """Killed at the first, second, third ... rename of each try, there and back: an engine always finds one of the
    two roots, whole."""
    cases_interrupt.require_strace()
    move = Move(bench, source, filesystem)
    bench.command = move.command
    arguments = ("migrate", "--to-root", NEW_ROOT, *(["--to", to] if to else []), "--yes")
    for number in range(1, 40):
        names = named_root(bench)
        if names not in (move.old_root, NEW_ROOT):
            raise AssertionError("the config names %s" % names)
        move.check_old_untouched()
        open_one = journal_lines() > 0
        way = ("migrate", "--resume", "--yes") if open_one else arguments
        if not cases_interrupt.dies_at_rename(bench, number, *way):
            break
    else:
        raise AssertionError("it never comes to an end")
    move.check_new_disk(to or bench.driver)
    for number in range(1, 40):
        if not cases_interrupt.dies_at_rename(bench, number, "rollback", "--yes"):
            break
    else:
        raise AssertionError("the way back never comes to an end")
    del bench.command
    require_gone(NEW_ROOT, os.path.join(move.old_root, "drover"))
    move.check_old()


def named_root(bench):
    return json.loads(bench.config_bytes())["data-root"]


def everything_else(bench, source, filesystem):
    """Swarm, plugins, networks, volumes with odd files, and a path of the user's into the old root."""
    move = Move(bench, source, filesystem)
    engine = bench.engine
    machine.run("ip", "link", "set", "lo", "up")
    engine.start()
    engine.docker("network", "create", "mine")
    engine.docker("swarm", "init", "--advertise-addr", "127.0.0.1")
    engine.docker("config", "create", "remembered", "-", input_bytes=b"by the swarm")
    make_plugin(bench)
    bound = os.path.join(move.old_root, "volumes/data/_data")
    engine.docker(
        "create", "--name", "bound", "--network", "none", "-v", bound + ":/bound:ro", "base:1", "true"
    )
    networks = shown_networks(engine)
    node = engine.docker("node", "ls", "-q")
    plugins = engine.docker("plugin", "ls", "--no-trunc")
    engine.stop()
    volume = os.path.join(move.old_root, "volumes/data/_data")
    make_odd_files(volume, os.path.join(move.old_root, "not-the-engine's"))
    before = {part: trees.walk(os.path.join(move.old_root, part)) for part in CARRIED}
    move.untouched = move.fingerprint()
    ran = move.migrate()
    for part in ("container bound names `%s`" % bound, "not-the-engine's"):
        if part not in ran.out:
            raise AssertionError("the plan does not say %r: %s" % (part, ran.out))
    move.check_old_untouched()
    after = {part: trees.walk(os.path.join(NEW_ROOT, part)) for part in CARRIED}
    require_equal(before, after, "the new root holds")
    if os.stat(os.path.join(NEW_ROOT, "volumes/data/_data/sparse")).st_blocks * 512 > SPARSE_BYTES // 8:
        raise AssertionError("the sparse file has lost its holes")
    engine.start()
    for what, was, now in (
        # A swarm makes one of its own when it comes to it.
        ("networks", {**shown_networks(engine), **networks}, shown_networks(engine)),
        ("node", node, wait_for(lambda: engine.docker("node", "ls", "-q", check=False), node)),
        ("plugins", plugins, engine.docker("plugin", "ls", "--no-trunc")),
    ):
        if was != now:
            raise AssertionError("the %s were %r, are %r" % (what, was, now))
    if "remembered" not in engine.docker("config", "ls"):
        raise AssertionError("the swarm has lost its config")
    check_volumes_are_used(bench)
    engine.stop()
    ran = move.drover("commit", "--yes", expect=11)
    if "container bound uses" not in ran.err:
        raise AssertionError("does not say who needs the old root: %s" % ran.err)


def shown_networks(engine):
    return {network["Name"]: network["Id"] for network in engine.api("/networks")}


CARRIED = ("volumes", "network", "swarm", "plugins", "buildkit", "trust", "not-the-engine's")


def wait_for(ask, wanted):
    """A swarm's manager needs a moment to be leader again."""
    for _ in range(100):
        seen = ask()
        if seen == wanted:
            break
        time.sleep(0.1)
    return seen


def make_plugin(bench):
    folder = os.path.join(bench.place.run, "plugin")
    os.makedirs(folder + "/rootfs/bin")
    shutil.copy("/bin/busybox", folder + "/rootfs/bin")
    with open(folder + "/config.json", "w") as file:
        json.dump(
            {
                "description": "a sample",
                "entrypoint": ["/bin/busybox", "true"],
                "interface": {"types": ["docker.volumedriver/1.0"], "socket": "sample.sock"},
                "network": {"type": "none"},
                "propagatedMount": "/data",
                "linux": {"capabilities": []},
            },
            file,
        )
    bench.engine.docker("plugin", "create", "sample:1", folder)


def make_odd_files(volume, foreign):
    os.mkdir(foreign)
    with open(volume + "/sparse", "wb") as file:
        file.truncate(SPARSE_BYTES)
        file.seek(SPARSE_BYTES // 2)
        file.write(b"middle")
    with open(volume + "/linked", "w") as file:
        file.write("in two places\n")
    os.link(volume + "/linked", volume + "/linked-too")
    os.link(volume + "/linked", foreign + "/linked-from-afar")
    os.mkfifo(volume + "/fifo", 0o620)
    os.mknod(volume + "/device", 0o600 | 0o020000, os.makedev(1, 3))
    os.symlink("/nowhere", os.fsencode(volume) + b"/caf\xe9")
    os.chown(volume + "/linked", 12345, 54321)
    os.chmod(volume + "/linked", 0o4751)
    os.setxattr(volume + "/linked", "user.kept", b"\x00\xff")
    os.setxattr(volume + "/linked", "trusted.overlay.opaque", b"y")
    os.setxattr(volume + "/linked", "security.selinux", b"system_u:object_r:container_file_t:s0\x00")
    acl = bytes.fromhex(
        "0200000001000600ffffffff02000400d204000004000400ffffffff10000600ffffffff20000400ffffffff"
    )
    os.mkdir(volume + "/with-acl")
    os.setxattr(volume + "/with-acl", "system.posix_acl_access", acl)
    os.setxattr(volume + "/with-acl", "system.posix_acl_default", acl)
    os.utime(volume + "/linked", ns=(1, 1234567890123456789))
    os.utime(volume + "/with-acl", ns=(1, 987654321987654321))


def require_gone(*paths):
    for path in paths:
        if os.path.lexists(path):
            raise AssertionError(
                "%s is still there: %s" % (path, os.listdir(path) if os.path.isdir(path) else "a file")
            )


def cases():
    found = []

    def add(name, source, function, *arguments):
        found.append(("to-root/" + name, source, lambda bench: function(bench, source, *arguments)))

    for source, filesystem, to in (
        ("overlay2@ext4", "btrfs", "btrfs"),
        ("overlay2@ext4", "xfs", "fuse-overlayfs"),
        ("overlay2@ext4", "xfs", "vfs"),
        ("overlay2@ext4", "xfs", None),
        ("btrfs@btrfs", "ext4", "overlay2"),
        ("vfs@xfs", "ext4", None),
    ):
        driver = source.split("@")[0]
        name = (
            "%s-to-%s@%s" % (source, to, filesystem) if to else "%s-to-%s@%s" % (source, driver, filesystem)
        )
        add(name, source, full_move, filesystem, to)
    add("everything-else", "overlay2@ext4", everything_else, "xfs")
    add("rollback", "overlay2@ext4", rollback, "btrfs", "btrfs")
    add("rollback/same-driver", "overlay2@xfs", rollback, "ext4", None)
    add("commit", "overlay2@ext4", commit, "btrfs", "btrfs")
    add("commit/refused", "overlay2@ext4", refuses_commit, "xfs")
    add("kill/resume", "overlay2@ext4", kill_and_resume, "btrfs", "btrfs", 30)
    add("kill/rollback", "overlay2@ext4", kill_and_roll_back, "xfs", None, 30)
    add("kill/each-rename", "overlay2@ext4", each_rename, "btrfs", "btrfs")  # its trial forks no process
    return found
