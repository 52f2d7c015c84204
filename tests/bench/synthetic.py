"""Data roots made without an engine, as tests/support/sample_root.cpp makes them: overlay2's home and Docker's records of
layers, images and containers. For numbers that no engine makes in an hour: a million files, 10,000 layers."""
import base64
import hashlib
import json
import os
import tarfile
import zlib

CREATED = "2023-11-14T22:13:20Z"
MTIME = 1700000000
BLOCK = 512


class Root:
    """An empty folder that becomes a data root in overlay2 form."""

    def __init__(self, path):
        self.path = path
        self._store = os.path.join(path, "image/overlay2")
        self._home = os.path.join(path, "overlay2")
        self._references = {}
        self._lower = {}  # of each layer by its cache ID: its own `lower` file
        for folder in ("imagedb/content/sha256", "imagedb/metadata/sha256", "layerdb/sha256"):
            os.makedirs(os.path.join(self._store, folder), 0o700)
        for folder in ("layerdb/mounts", "layerdb/tmp", "distribution"):
            os.makedirs(os.path.join(self._store, folder), 0o755)
        os.makedirs(os.path.join(self._home, "l"), 0o700)
        os.mkdir(os.path.join(path, "containers"), 0o710)

    def add_layer(self, parent, folders, files):
        """`parent`: what this returned for it, or None. `files`: (name, bytes) pairs; their folders are in `folders`,
        parents first."""
        tar = _Tar()
        cache_id = _digest("cache ID %d" % len(self._lower))
        diff = self._add_to_home(cache_id, parent and parent["cache_id"])
        for name in folders:
            os.mkdir(os.path.join(diff, name), 0o755)
            tar.add(name + "/", None)
        for name, content in files:
            tar.add(name, content)
            _write(os.path.join(diff, name), content, 0o644)
            os.utime(os.path.join(diff, name), (MTIME, MTIME))
        for name in reversed(folders):
            os.utime(os.path.join(diff, name), (MTIME, MTIME))
        diff_id, size, tar_split = tar.finish()
        diff_ids = (parent["diff_ids"] if parent else []) + ["sha256:" + diff_id]
        chain = "sha256:" + _digest(parent["chain"] + " " + diff_ids[-1]) if parent else diff_ids[0]
        record = os.path.join(self._store, "layerdb/sha256", chain.split(":")[1])
        os.mkdir(record, 0o700)
        _write(os.path.join(record, "cache-id"), cache_id.encode())
        _write(os.path.join(record, "diff"), diff_ids[-1].encode())
        _write(os.path.join(record, "size"), b"%d" % size)
        _write(os.path.join(record, "tar-split.json.gz"), tar_split)
        if parent:
            _write(os.path.join(record, "parent"), parent["chain"].encode())
        return {"chain": chain, "cache_id": cache_id, "diff_ids": diff_ids}

    def add_image(self, reference, top):
        config = json.dumps(
            {
                "architecture": "amd64",
                "config": {"Cmd": ["/bin/true"]},
                "created": CREATED,
                "history": [{"created": CREATED, "created_by": "benchmark"} for _ in top["diff_ids"]],
                "os": "linux",
                "rootfs": {"type": "layers", "diff_ids": top["diff_ids"]},
            }
        ).encode()
        image = hashlib.sha256(config).hexdigest()
        _write(os.path.join(self._store, "imagedb/content/sha256", image), config, 0o600)
        self._references[reference] = "sha256:" + image
        return {"id": image, "top": top, "reference": reference}

    def add_container(self, name, image):
        """A stopped container; returns the folder of its writable layer."""
        container, mount = _digest("container " + name), _digest("mount " + name)
        record = os.path.join(self._store, "layerdb/mounts", container)
        os.mkdir(record, 0o755)
        _write(os.path.join(record, "mount-id"), mount.encode())
        _write(os.path.join(record, "init-id"), mount.encode() + b"-init")
        _write(os.path.join(record, "parent"), image["top"]["chain"].encode())
        self._add_to_home(mount + "-init", image["top"]["cache_id"])
        folder = os.path.join(self.path, "containers", container)
        os.mkdir(folder, 0o710)
        config = {
            "State": {"Running": False, "Pid": 0, "ExitCode": 0, "StartedAt": CREATED, "FinishedAt": CREATED},
            "ID": container,
            "Created": CREATED,
            "Path": "/bin/true",
            "Args": [],
            "Config": {"Hostname": container[:12], "Cmd": ["/bin/true"], "Image": image["reference"]},
            "Image": "sha256:" + image["id"],
            "Name": "/" + name,
            "Driver": "overlay2",
            "OS": "linux",
            "MountPoints": {},
            "LogPath": os.path.join(folder, container + "-json.log"),
        }
        _write(os.path.join(folder, "config.v2.json"), json.dumps(config).encode(), 0o600)
        _write(os.path.join(folder, "hostconfig.json"), b'{"NetworkMode":"none"}')
        _write(os.path.join(folder, container + "-json.log"), b"", 0o640)
        return self._add_to_home(mount, mount + "-init")

    def _add_to_home(self, layer, parent):
        folder = os.path.join(self._home, layer)
        os.makedirs(os.path.join(folder, "diff"), 0o755)
        link = base64.b32encode(hashlib.sha256(layer.encode()).digest()).decode()[:26]
        _write(os.path.join(folder, "link"), link.encode())
        os.symlink("../%s/diff" % layer, os.path.join(self._home, "l", link))
        self._lower[layer] = "l/" + link
        if parent:
            os.mkdir(os.path.join(folder, "work"), 0o700)
            _write(os.path.join(folder, "lower"), self._lower[parent].encode())
            self._lower[layer] += ":" + self._lower[parent]
            committed = os.path.join(self._home, parent, "committed")
            if not os.path.exists(committed):
                _write(committed, b"", 0o600)
        return os.path.join(folder, "diff")

    def finish(self):
        repositories = {}
        for reference, image in self._references.items():
            repositories.setdefault(reference.split(":")[0], {})[reference] = image
        _write(
            os.path.join(self._store, "repositories.json"),
            json.dumps({"Repositories": repositories}).encode(),
            0o600,
        )


class _Tar:
    """A layer's tar as it goes by: its digest, and the tar-split that the engine would have kept of it."""

    _crcs = {}  # few contents, many files

    def __init__(self):
        self._sha256 = hashlib.sha256()
        self._gzip = zlib.compressobj(1, zlib.DEFLATED, 31)
        self._packed = []
        self._lines = []
        self._position = 0
        self._between = b""  # bytes since the last file's content
        self._size = 0

    def add(self, name, content):
        member = tarfile.TarInfo(name)
        member.mtime = MTIME
        member.type = tarfile.DIRTYPE if content is None else tarfile.REGTYPE
        member.mode = 0o755 if content is None else 0o644
        member.size = len(content or b"")
        header = member.tobuf(tarfile.USTAR_FORMAT)
        self._between += header
        self._line({"type": 2, "payload": base64.b64encode(self._between).decode()})
        line = {"type": 1, "name": name}
        if content:
            line["size"] = len(content)
            line["payload"] = self._crc(content)
        else:
            line["payload"] = None
        self._line(line)
        self._between = bytes(-member.size % BLOCK)
        self._sha256.update(header + (content or b"") + self._between)
        self._size += member.size

    def finish(self):
        self._between += bytes(2 * BLOCK)
        self._sha256.update(bytes(2 * BLOCK))
        self._line({"type": 2, "payload": base64.b64encode(self._between).decode()})
        self._pack()
        self._packed.append(self._gzip.flush())
        return self._sha256.hexdigest(), self._size, b"".join(self._packed)

    def _line(self, line):
        line["position"] = self._position
        self._position += 1
        self._lines.append(json.dumps(line, separators=(",", ":")))
        if len(self._lines) == 10000:
            self._pack()

    def _pack(self):
        text = "".join(line + "\n" for line in self._lines).encode()
        self._packed.append(self._gzip.compress(text))
        self._lines = []

    def _crc(self, content):
        if content not in self._crcs:
            self._crcs[content] = base64.b64encode(crc64(content)).decode()
        return self._crcs[content]


def crc64(content):
    """CRC-64/ISO, as tar-split keeps it."""
    crc = (1 << 64) - 1
    for byte in content:
        crc = _CRC_TABLE[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return (crc ^ ((1 << 64) - 1)).to_bytes(8, "big")


def _crc_of_byte(value):
    for _ in range(8):
        value = (value >> 1) ^ (0xD800000000000000 if value & 1 else 0)
    return value


_CRC_TABLE = [_crc_of_byte(value) for value in range(256)]


def _digest(text):
    return hashlib.sha256(text.encode()).hexdigest()


def _write(path, data, mode=0o644):
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    os.write(fd, data)
    os.close(fd)


# --- the roots


def contents(count=64, largest=4096):
    """Bytes that no compression makes small, always the same; of sizes from none to `largest`."""
    made = []
    for n in range(count):
        size = (n * n * largest) // ((count - 1) ** 2)
        made.append(hashlib.shake_128(b"content %d" % n).digest(size))
    return made


def make_files(path, count, layers=8, folder_size=100):
    """`count` files of some 1.4 kB each on `layers` layers, and a container."""
    root = Root(path)
    kinds, top = contents(), None
    for layer in range(layers):
        share = count // layers + (1 if layer < count % layers else 0)
        first = "layer%d" % layer
        folders = [first] + ["%s/%05d" % (first, n) for n in range(-(-share // folder_size))]
        files = (
            ("%s/%05d/file%07d" % (first, n // folder_size, n), kinds[n % len(kinds)]) for n in range(share)
        )
        top = root.add_layer(top, folders, files)
    image = root.add_image("files:%d" % count, top)
    root.add_container("edits", image)
    root.finish()


def make_bytes(path, size, file_size=1 << 20, layers=4):
    """`size` bytes in files of `file_size`."""
    root = Root(path)
    top = None
    for layer in range(layers):
        count = max(1, size // layers // file_size)
        kinds = [hashlib.shake_128(b"large %d" % n).digest(file_size) for n in range(4)]
        files = (("layer%d/file%06d" % (layer, n), kinds[n % 4]) for n in range(count))
        top = root.add_layer(top, ["layer%d" % layer], files)
    root.add_image("bytes:%d" % size, top)
    root.finish()


def make_layers(path, count, chain=100):
    """`count` layers of one small file each, in images of up to `chain` layers: overlay2 takes no more than 128."""
    root = Root(path)
    top = None
    for n in range(count):
        top = root.add_layer(None if n % chain == 0 else top, [], [("file%d" % n, b"layer %d\n" % n)])
        if n % chain == chain - 1 or n == count - 1:
            root.add_image("chain%d:1" % (n // chain), top)
    root.finish()


def make_sparse(path, size, files=4, islands=16):
    """A container with `files` files of together `size` bytes, of which all but `islands` blocks each are holes."""
    root = Root(path)
    image = root.add_image("base:1", root.add_layer(None, [], [("file", b"base\n")]))
    layer = root.add_container("sparse", image)
    for n in range(files):
        with open(os.path.join(layer, "disk%d" % n), "wb") as file:
            file.truncate(size // files)
            for island in range(islands):
                file.seek(size // files // islands * island)
                file.write(hashlib.shake_128(b"island %d" % island).digest(4096))
    root.finish()
