"""What takes part in a row: drover in one of its ways, or a rival, each with what makes its place ready (untimed), its
command, what checks the result, and what takes it away again."""
import json
import os
import shlex
import shutil
import tarfile

import disk
from lab import Root, RunningEngine, needs_force
from measure import Failed


class Contestant:
    """`given`: for a rival, what it works on, in words."""

    name = given = ""
    servers = ()
    can_count_calls = True

    def prepare(self):
        pass

    def command(self):
        raise NotImplementedError

    def disks(self):
        """What is synced and counted."""
        raise NotImplementedError

    def check(self, sample):
        pass

    def clean(self):
        pass


class Migrate(Contestant):
    """drover migrate, checked, and rolled back."""

    def __init__(self, root, to, flags=(), to_disk=None, name=None):
        self.root, self.flags, self.to_disk = root, list(flags), to_disk
        self.name = name or "drover"
        self._words = ["migrate", "--to", to, *needs_force(to), *flags]
        self._new_root = to_disk and os.path.join(to_disk.path, "new-root")
        if to_disk:
            self._words += ["--to-root", self._new_root]

    def command(self):
        return self.root.command(*self._words)

    def disks(self):
        return [self.to_disk or self.root.disk]

    def check(self, sample):
        """Either this run has proven each layer, or `drover verify` does now."""
        result = json.loads(sample.out)
        layers = result["layers"]
        done = layers["proven"] + layers["compared"] + layers.get("renamed", 0) + layers.get("not_proven", 0)
        if done == 0 or layers["damaged_in_source"] or result["left_behind"]:
            raise Failed("drover migrated, but: " + sample.out)
        if self.flags:
            try:
                self.root.drover("verify", data_root=self._new_root)
            except RuntimeError as error:
                raise Failed("what drover has made is not sound: %s" % error)
        elif layers.get("not_proven", 0):
            raise Failed("layers are not proven: " + sample.out)

    def clean(self):
        self.root.drover("rollback")


class Rival(Contestant):
    """A copy of `source`, a folder, as a new folder; `script` has SOURCE and TARGET in it."""

    def __init__(self, name, script, source, target_disk, given):
        self.name, self.given, self._script = name, given, script
        self._source, self._disk = source, target_disk
        self._target = os.path.join(target_disk.path, "rival")

    def prepare(self):
        os.mkdir(self._target)

    def command(self):
        script = self._script.replace("SOURCE", shlex.quote(self._source))
        return ["sh", "-c", script.replace("TARGET", shlex.quote(self._target))]

    def disks(self):
        return [self._disk]

    def check(self, sample):
        if not os.listdir(self._target):
            raise Failed("%s has made nothing" % self.name)

    def clean(self):
        disk.remove_tree(self._target)


SCRIPTS = {
    "cp -al": "cp -al SOURCE TARGET",
    "cp -a": "cp -a SOURCE TARGET",
    "cp -a --reflink=always": "cp -a --reflink=always SOURCE TARGET",
    "tar | tar": "tar --xattrs --xattrs-include='*' --numeric-owner -C SOURCE -cf - . |"
    " tar --xattrs --xattrs-include='*' --numeric-owner -C TARGET -xf -",
    "rsync -aHAX": "rsync -aHAX --numeric-ids SOURCE/ TARGET",
}


def rival(name, source, target_disk, given):
    return Rival(name, SCRIPTS[name], source, target_disk, given)


class SaveLoad(Contestant):
    """docker save of every image, into a second engine's docker load. Both engines run already; no containers."""

    name = "docker save | docker load"
    given = "all images, no containers, engines started before"
    can_count_calls = False

    def __init__(self, root, to):
        self._root, self._to = root, to

    def prepare(self):
        self._target = Root(self._root.lab, self._root.disk, "rival-engine")
        self._target.write_config(self._to)
        self._engines = []
        for root in (self._root, self._target):
            self._engines.append(RunningEngine(root.place))
        self.servers = [pid for engine in self._engines for pid in engine.processes()]

    def command(self):
        source, target = self._engines
        images = " ".join(
            tag for image in source.engine.api("/images/json") for tag in image["RepoTags"] or []
        )
        self._images = len(source.engine.api("/images/json"))
        return ["sh", "-c", "%s save %s | %s load" % (source.docker, images, target.docker)]

    def disks(self):
        return [self._root.disk]

    def check(self, sample):
        if len(self._engines[1].engine.api("/images/json")) != self._images:
            raise Failed("docker load has not loaded all images: " + sample.out)

    def clean(self):
        for engine in self._engines:
            engine.stop()
        self._target.remove()


class Verify(Contestant):
    name = "drover verify"

    def __init__(self, root):
        self.root = root

    def command(self):
        return self.root.command("verify")

    def disks(self):
        return [self.root.disk]

    def check(self, sample):
        if not json.loads(sample.out)["sound"]:
            raise Failed("drover verify: " + sample.out)


class Digest(Contestant):
    """The layers' own tars, end to end in one file."""

    name = "openssl dgst -sha256, one core"
    given = "the layers' tars in one file on the same filesystem"

    def __init__(self, root):
        self._root = root
        self._file = os.path.join(root.place.disk, "layer-tars")
        if not os.path.exists(self._file):
            self._write_file()

    def _write_file(self):
        archive = self._file + ".archive"
        self._root.drover("export", "--compress", "none", "-o", archive)
        records = os.path.join(self._root.path, "image", self._root.driver, "layerdb/sha256")
        wanted = set()
        for record in os.listdir(records):
            with open(os.path.join(records, record, "diff")) as file:
                wanted.add(file.read().strip().split(":")[1])
        with tarfile.open(archive, "r|") as tar, open(self._file, "wb") as file:
            for member in tar:
                if os.path.basename(member.name) in wanted:
                    wanted.discard(os.path.basename(member.name))
                    shutil.copyfileobj(tar.extractfile(member), file, 1 << 20)
        os.unlink(archive)
        if wanted:
            raise Failed("drover export has no tar of %d layers" % len(wanted))

    def command(self):
        return ["taskset", "-c", "0", "openssl", "dgst", "-sha256", self._file]

    def disks(self):
        return [self._root.disk]


class Info(Contestant):
    name = "drover info --no-size"

    def __init__(self, root):
        self.root = root

    def command(self):
        return self.root.command("info", "--no-size")

    def disks(self):
        return [self.root.disk]

    def check(self, sample):
        stores = json.loads(sample.out)["stores"]
        if not any(store["images"] > 0 for store in stores):
            raise Failed("drover info sees no images: " + sample.out)


def given_trees(root, to, on):
    """The home as drover makes it for `to`, copied to where a rival finds it: what any copy must make at least. Hard
    links stay hard links."""
    path = os.path.join(on.path, "given-" + to)
    if not os.path.exists(path):
        root.drover("migrate", "--to", to)
        shell = "cp -a --reflink=auto %s %s" % (shlex.quote(os.path.join(root.path, to)), shlex.quote(path))
        disk.machine.run("sh", "-c", shell)
        root.drover("rollback")
    return path
