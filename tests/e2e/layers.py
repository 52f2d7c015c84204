"""Image layers crafted byte by byte, and the archives that `docker load` takes them in."""
import hashlib
import io
import json
import tarfile

DEFAULT_MTIME = "1500000000.123456789"


class Layer:
    """One layer's tar. Names are bytes, since an image's names are."""

    def __init__(self, tar_format=tarfile.PAX_FORMAT):
        self._buffer = io.BytesIO()
        self._tar = tarfile.open(
            fileobj=self._buffer, mode="w", format=tar_format, encoding="utf-8", errors="surrogateescape"
        )
        self._pax = tar_format == tarfile.PAX_FORMAT

    def add(
        self,
        name,
        kind=tarfile.REGTYPE,
        data=b"",
        mode=0o644,
        uid=0,
        gid=0,
        mtime=DEFAULT_MTIME,
        link=b"",
        device=(0, 0),
        xattrs=None,
    ):
        info = tarfile.TarInfo(_text(name))
        info.type, info.mode, info.uid, info.gid = kind, mode, uid, gid
        info.size, info.linkname = len(data), _text(link)
        info.devmajor, info.devminor = device
        info.mtime = int(float(mtime))
        if self._pax:
            info.pax_headers = {"mtime": mtime} if "." in mtime else {}
            for key, value in (xattrs or {}).items():
                info.pax_headers["SCHILY.xattr." + key] = _text(value)
        self._tar.addfile(info, io.BytesIO(data))
        return self

    def file(self, name, data=b"", **more):
        return self.add(name, data=data, **more)

    def directory(self, name, mode=0o755, **more):
        return self.add(name, tarfile.DIRTYPE, mode=mode, **more)

    def symlink(self, name, target, **more):
        return self.add(name, tarfile.SYMTYPE, link=target, mode=0o777, **more)

    def hard_link(self, name, target, **more):
        return self.add(name, tarfile.LNKTYPE, link=target, **more)

    def whiteout(self, name):
        folder, _, last = name.rpartition(b"/")
        return self.add((folder + b"/" if folder else b"") + b".wh." + last, mode=0)

    def opaque(self, folder):
        return self.add(folder + b"/.wh..wh..opq", mode=0)

    def tar(self):
        self._tar.close()
        return self._buffer.getvalue()


class Archive:
    """A `docker load` archive: images by name, as lists of layer tars; a layer named twice is stored once."""

    def __init__(self):
        self._members, self._manifest = {}, []

    def image(self, tags, layers, command=("sh",), created="2021-03-04T05:06:07.089Z"):
        diff_ids = [hashlib.sha256(layer).hexdigest() for layer in layers]
        for digest, layer in zip(diff_ids, layers):
            self._members[digest + "/layer.tar"] = layer
        config = json.dumps(
            {
                "architecture": "amd64",
                "os": "linux",
                "created": created,
                "config": {
                    "Cmd": list(command),
                    "Env": ["PATH=/bin"],
                    "Labels": {"suite": "drover <e2e> & more"},
                },
                "rootfs": {"type": "layers", "diff_ids": ["sha256:" + digest for digest in diff_ids]},
                "history": [{"created": created, "created_by": "layer %d" % n} for n in range(len(layers))],
            }
        ).encode()
        name = hashlib.sha256(config).hexdigest() + ".json"
        self._members[name] = config
        self._manifest.append(
            {"Config": name, "RepoTags": list(tags), "Layers": [digest + "/layer.tar" for digest in diff_ids]}
        )

    def write(self, path):
        with tarfile.open(path, "w") as archive:
            members = {**self._members, "manifest.json": json.dumps(self._manifest).encode()}
            for name, data in members.items():
                info = tarfile.TarInfo(name)
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))


def _text(name):
    return name.decode("utf-8", "surrogateescape")
