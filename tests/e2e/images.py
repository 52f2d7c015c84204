"""The images of the suite: a base that can run commands, and layers with everything that a layer may hold."""
import os
import struct
import tarfile

from layers import Archive, Layer

APPLETS = (
    "sh ls cat rm rmdir mkdir mv ln chmod chown touch dd mknod mkfifo cp sleep syslogd stat test echo true "
    "tail find truncate sync readlink"
).split()
DEEP_LAYERS = 66


def base_layer(busybox):
    layer = Layer()
    layer.directory(b"bin").file(b"bin/busybox", busybox, mode=0o755)
    for applet in APPLETS:
        layer.symlink(b"bin/" + applet.encode(), b"busybox")
    layer.directory(b"etc").file(b"etc/passwd", b"root:x:0:0::/:/bin/sh\n").file(b"etc/group", b"root:x:0:\n")
    layer.directory(b"tmp", mode=0o1777).directory(b"root", mode=0o700).directory(b"srv")
    layer.file(b"srv/gone", b"hidden by a whiteout\n").file(b"srv/again", b"added twice\n")
    for folder in (
        b"gone-dir",
        b"opaque",
        b"wh-then-dir",
        b"dir-to-file",
        b"dir-to-link",
        b"keep",
        b"redo",
        b"rename",
        b"delete",
        b"modes",
        b"forge",
    ):
        layer.directory(b"srv/" + folder)
        for name in (b"a", b"b", b"c"):
            layer.file(b"srv/%s/%s" % (folder, name), b"%s of %s\n" % (name, folder))
        layer.directory(b"srv/" + folder + b"/sub").file(b"srv/" + folder + b"/sub/deep", folder)
    layer.file(b"srv/file-to-dir", b"a file\n").file(b"srv/file-to-link", b"a file\n")
    layer.symlink(b"srv/link-to-file", b"keep/a").symlink(b"srv/link-to-dir", b"keep")
    layer.directory(b"srv/links").file(b"srv/links/one", b"linked\n")
    layer.hard_link(b"srv/links/two", b"srv/links/one").hard_link(b"srv/linked-elsewhere", b"srv/links/one")
    return layer.tar()


def kinds_layer():
    """Every kind of entry, owner, mode, time and attribute."""
    layer = Layer()
    layer.directory(b"kinds", mtime="1400000000.000000001")
    layer.file(b"kinds/setuid", b"#!", mode=0o4755).file(b"kinds/setgid", b"#!", mode=0o2755, gid=50)
    layer.directory(b"kinds/setgid-dir", mode=0o2775, gid=4000).directory(b"kinds/sticky", mode=0o1777)
    layer.file(b"kinds/no-mode", b"unreadable", mode=0).file(b"kinds/empty")
    capability = struct.pack("<5I", 0x02000001, 1 << 13, 0, 0, 0)
    layer.file(b"kinds/capable", b"ping", mode=0o755, xattrs={"security.capability": capability})
    layer.file(b"kinds/user-xattr", b"x", xattrs={"user.note": b"a \xff\x00 value", "user.empty": b"e"})
    layer.add(b"kinds/char", tarfile.CHRTYPE, device=(1, 3), mode=0o666)
    layer.add(b"kinds/block", tarfile.BLKTYPE, device=(7, 200), mode=0o660, gid=6)
    layer.add(b"kinds/fifo", tarfile.FIFOTYPE, mode=0o640, uid=7)
    layer.file(b"kinds/big-owner", b"o", uid=3000000000, gid=3000000001)
    layer.directory(b"kinds/big-owner-dir", uid=4294967293, gid=2147483648)
    layer.file(b"kinds/before-1970", b"old", mtime="-86400.75").symlink(
        b"kinds/link-before-1970", b"x", mtime="-1000000.25"
    )
    layer.file(b"kinds/nanoseconds", b"ns", mtime="1234567890.000000001")
    layer.file(b"kinds/future", b"later", mtime="4000000000.999999999")
    layer.file(b"kinds/zeros", bytes(2 << 20) + b"end").symlink(b"kinds/dangling", b"/nowhere/at/all")
    layer.symlink(b"kinds/upwards", b"../../../../etc/passwd", uid=12, gid=13).symlink(
        b"kinds/long", b"t" * 300
    )
    layer.file(b"implicit/parents/of/a-file", b"no directory entries above\n")
    return layer.tar()


def names_layer(longest):
    """Names as bytes, some of them in GNU headers."""
    layer = Layer()
    layer.directory(b"names")
    for name in (
        b"n" * 200,
        b"m" * longest,
        "na\u00efve-\u65e5\u672c\u8a9e-\U0001f600".encode(),
        b"new\nline",
        b"tab\tand space ",
        b"\x01control\x7f",
        b"-dash",
        b"quote'\"back\\slash",
        b"glob*?[a]",
        b".wh",
        b"x.wh.y",
        b"caf\xe9-pax",
        b"semi;colon&amp<>",
        b"..dots.",
        b":colon,comma=",
    ):
        layer.file(b"names/" + name, name)
    layer.directory(b"names/" + "d\u00efr".encode() * 30).symlink(b"names/\xe9-link", b"caf\xe9-pax")
    path = b"names"
    for level in range(24):
        path += b"/level-%02d-of-a-deep-path" % level
        layer.directory(path)
    layer.file(path + b"/bottom", b"deep\n")
    return layer.tar()


def gnu_layer():
    layer = Layer(tarfile.GNU_FORMAT)
    layer.directory(b"./gnu/", mtime="1300000000").file(
        b"./gnu/latin1-\xe4\xf6\xfc", b"latin1", mtime="1300000001"
    )
    layer.file(b"./gnu/" + b"l\xe5ng" * 50, b"long latin1", mtime="1300000002")
    layer.symlink(b"./gnu/link", b"\xe4" * 150, mtime="-5")
    layer.file(b"./gnu/big-owner", b"o", uid=3000000000, gid=70000, mtime="1300000003")
    return layer.tar()


def hides_layer():
    """What hides or replaces things below."""
    layer = Layer()
    layer.directory(b"srv", mtime="1510000000.5").whiteout(b"srv/gone").whiteout(b"srv/gone-dir")
    layer.whiteout(b"srv/was-never-there").file(b"srv/again", b"added twice\n")
    layer.directory(b"srv/opaque", mode=0o750).opaque(b"srv/opaque").file(b"srv/opaque/new", b"new\n")
    layer.directory(b"srv/opaque/sub").file(b"srv/opaque/sub/other", b"not deep\n")
    layer.directory(b"srv/file-to-dir").file(b"srv/file-to-dir/inside", b"in\n").symlink(
        b"srv/file-to-link", b"keep"
    )
    layer.file(b"srv/dir-to-file", b"a file now\n").symlink(b"srv/dir-to-link", b"keep")
    layer.file(b"srv/link-to-file", b"a file now\n").directory(b"srv/link-to-dir").file(
        b"srv/link-to-dir/x", b"x"
    )
    layer.directory(b"srv/keep", mode=0o700, uid=33)
    layer.file(b"srv/links/one", b"linked\n").hard_link(b"srv/links/three", b"srv/links/one")
    layer.whiteout(b"names/" + b"n" * 200).whiteout(b"names/new\nline").whiteout(b"names/caf\xe9-pax")
    layer.whiteout(b"kinds/char").whiteout(b"kinds/fifo").file(b"kinds/block", b"a file where a device was\n")
    layer.add(b"kinds/empty", tarfile.FIFOTYPE)
    return layer.tar()


def hidden_and_there_layer():
    """The same name hidden and present in one layer."""
    layer = (
        Layer()
        .whiteout(b"srv/wh-then-dir")
        .directory(b"srv/wh-then-dir")
        .file(b"srv/wh-then-dir/new", b"new\n")
    )
    return layer.whiteout(b"srv/again").file(b"srv/again", b"hidden, and there\n").tar()


def top_layer():
    layer = Layer()
    layer.directory(b"./", mode=0o751, mtime="1520000000.25").file(b"./srv/gone", b"back again\n")
    layer.directory(b"./srv/opaque").opaque(b"./srv/opaque").whiteout(b"./srv/redo/sub").file(
        b"./srv/redo/a", b"changed\n"
    )
    return layer.tar()


def deep_layers():
    layers = []
    for number in range(DEEP_LAYERS):
        layer = (
            Layer()
            .directory(b"deep")
            .file(b"deep/counter", b"%d\n" % number)
            .file(b"deep/%02d" % number, b"here")
        )
        if number % 3 == 2:
            layer.whiteout(b"deep/%02d" % (number - 1))
        layer.directory(b"deep/dir")
        if number % 20 == 19:
            layer.opaque(b"deep/dir")
        layers.append(layer.file(b"deep/dir/%02d" % number).tar())
    return layers


def write_archive(path, busybox, drivers, deep):
    """All images for `docker load`; `rich:2` is `rich:1` with another last layer."""
    longest = 242 if "aufs" in drivers else 250  # aufs and fuse-overlayfs look up no longer ones
    base, kinds, names = base_layer(busybox), kinds_layer(), names_layer(longest)
    rich = [base, kinds, names, gnu_layer(), hides_layer()]
    empty = Layer().tar()
    archive = Archive()
    archive.image(["base:1"], [base])
    archive.image(["rich:1", "host.example:5000/team/rich:one"], rich + [empty])
    archive.image(["rich:2"], rich + [top_layer()])
    archive.image(["fewer:1"], [base, empty, kinds])
    if deep:
        archive.image(["deep:1"], [base] + deep_layers())
    archive.image([], [base, names], created="2020-02-02T02:02:02Z")
    if (
        "fuse-overlayfs" not in drivers
    ):  # there the engine cannot save such an image again: it hides what is there
        archive.image(["both:1"], [base, hidden_and_there_layer()])
    archive.image(["scratch:1"], [Layer().file(b"only", b"no shell here").tar()], command=("/only",))
    archive.write(path)


def read_busybox():
    """A static busybox: Debian's package busybox-static."""
    path = "/bin/busybox"
    if not os.path.exists(path):
        raise FileNotFoundError("no /bin/busybox: install Debian's package busybox-static")
    with open(path, "rb") as file:
        data = file.read()
    if b"ld-linux" in data[:4096]:
        raise RuntimeError("/bin/busybox is not static: install Debian's package busybox-static")
    return data
