"""A disk as one value: equal for two disks that an engine, and a user, cannot tell apart.

drover's own folders are left out (no engine looks there), and so are what the engine or drover draw by chance: the names
of overlay's links stand for the layers that they lead to. Times count only inside of layers, where they are content."""
import hashlib
import os
import re
import stat

DRIVERS = "overlay2|fuse-overlayfs|vfs|btrfs|aufs"
LINK = re.compile(r"(?<![A-Z2-7])[A-Z2-7]{26}(?![A-Z2-7])")
LINK_PLACE = re.compile(r"/(overlay2|fuse-overlayfs)/l/([A-Z2-7]{26})$")
WITH_LINKS = re.compile(r"/(overlay2|fuse-overlayfs)/[0-9a-f]+(-init)?/(link|lower)$")
CONTENT = re.compile(
    r"/(overlay2/[^/]+/diff|fuse-overlayfs/[^/]+/diff|vfs/dir/[^/]+|btrfs/subvolumes/[^/]+|aufs/diff/[^/]+)(/|$)"
)
OWN = "drover"  # in a data root
PROBE = ".drover-probe-"  # likewise, where drivers are tried out; the next drover removes what a killed one has left
UNFINISHED = ".drover-new"


def digest(top, roots):
    """`roots` are the data roots below `top`."""
    return hashlib.sha256(
        "\n".join(sorted(_lines(top, roots))).encode("utf-8", "surrogateescape")
    ).hexdigest()


def left_behind(top, roots):
    """What drover must not leave where it has ended: its folders, and files that it had not finished."""
    found = [os.path.join(root, name) for root in roots for name in os.listdir(root) if name == OWN]
    for folder, folders, files in os.walk(top):
        found += [os.path.join(folder, name) for name in files if name.endswith(UNFINISHED)]
    return found


def _lines(top, roots):
    links = _links(roots)
    groups = {}
    own = {os.path.join(root, OWN) for root in roots}
    pending = [top]
    while pending:
        path = pending.pop()
        if path in own or (os.path.dirname(path) in roots and os.path.basename(path).startswith(PROBE)):
            continue
        status = os.lstat(path)
        if stat.S_ISDIR(status.st_mode):
            pending += [os.path.join(path, name) for name in os.listdir(path)]
        shown = path
        if LINK_PLACE.search(path):
            shown = os.path.join(os.path.dirname(path), links.get(os.path.basename(path), "?"))
        yield "%s %s" % (shown[len(top) :], _facts(path, status, links, groups))


def _links(roots):
    found = {}
    for root in roots:
        for driver in ("overlay2", "fuse-overlayfs"):
            folder = os.path.join(root, driver, "l")
            for name in os.listdir(folder) if os.path.isdir(folder) else []:
                if os.path.islink(os.path.join(folder, name)):
                    found[name] = "link-of-" + os.readlink(os.path.join(folder, name)).replace("/", "-")
    return found


def _facts(path, status, links, groups):
    # A whiteout's own time is shown by nothing: drover makes whiteouts anew.
    whiteout = stat.S_ISCHR(status.st_mode) and status.st_rdev == 0
    content = CONTENT.search(path) and not whiteout
    facts = [
        stat.filemode(status.st_mode),
        "%o" % status.st_mode,
        status.st_uid,
        status.st_gid,
        status.st_mtime_ns if content else "",
        sorted(
            (name, os.getxattr(path, name, follow_symlinks=False))
            for name in os.listxattr(path, follow_symlinks=False)
            if not name.startswith("btrfs.")
        ),
    ]
    if stat.S_ISLNK(status.st_mode):
        facts.append(os.readlink(path))
    elif stat.S_ISREG(status.st_mode):
        with open(path, "rb") as file:
            data = file.read()
        if WITH_LINKS.search(path):
            data = LINK.sub(lambda match: links.get(match.group(), "?"), data.decode()).encode()
        facts.append(hashlib.sha256(data).hexdigest())
    elif not stat.S_ISDIR(status.st_mode):
        facts.append(status.st_rdev)
    return facts
