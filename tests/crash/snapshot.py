"""A disk as one value: equal for two disks that an engine, and a user, cannot tell apart.

drover's own folders are left out (no engine looks there), and so are what the engine or drover draw by chance: the names
of overlay's links stand for the layers that they lead to. Times count only inside of layers, where they are content."""
import glob
import hashlib
import os
import re
import stat

DRIVERS = "overlay2|fuse-overlayfs|vfs|btrfs|aufs"
LINK = re.compile(r"(?<![A-Z2-7])[A-Z2-7]{26}(?![A-Z2-7])")
LINK_PLACE = re.compile(r"/l/([A-Z2-7]{26})$")
WITH_LINKS = re.compile(r"/[0-9a-f]+(-init)?/(link|lower)$")
CONTENT = re.compile(
    r"/(overlay2/[^/]+/diff|fuse-overlayfs/[^/]+/diff|vfs/dir/[^/]+|btrfs/subvolumes/[^/]+|aufs/diff/[^/]+)(/|$)"
)
AUFS_MARK = re.compile(r"/aufs/diff/.*/\.wh\.[^/]+$")
OWN = "drover"  # in a data root
# Where drivers are tried out: in a data root, or above one that is not there yet. What a killed drover leaves the next
# one removes that tries some out there.
PROBE = "/.drover-probe-"
UNFINISHED = ".drover-new"
# What drover names, or writes down, by the clock or by chance.
CHANCE = re.compile(r"(drover/|\.drover-probe-)(?:[0-9]{8}-[0-9]{6}|[0-9a-f]{16})")
TIMES = re.compile(rb'"time":"[^"]*"|[0-9]{8}-[0-9]{6}')


def entries(top, roots):
    """A line for each entry. `roots` are the data roots below `top`. What was not finished no engine reads."""
    return sorted(
        line
        for path, line in _lines(top, roots, None)
        if not _is_own(path, roots) and not path.endswith(UNFINISHED)
    )


def entries_of_all(top, roots, since):
    """The same, for drover too: what it goes on with is alike. Times after `since` (in nanoseconds) are the run's own."""
    return sorted(line for _, line in _lines(top, roots, since))


def digest(lines):
    return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogateescape")).hexdigest()


def left_behind(top, roots):
    """What drover must not leave where it has ended: its folders, and files that it had not finished."""
    found = [os.path.join(root, name) for root in roots for name in os.listdir(root) if name == OWN]
    for folder, folders, files in os.walk(top):
        found += [os.path.join(folder, name) for name in files if name.endswith(UNFINISHED)]
    return found


def _is_own(path, roots):
    folder = next((root for root in roots if path.startswith(root + "/")), None)
    name = path[len(folder) + 1 :].split("/")[0] if folder else ""
    return name == OWN or PROBE in path


def _lines(top, roots, since):
    """Each entry's path and a line for it; with `since` also what only drover looks at."""
    links = _links(roots)
    first = {}  # the first name of each hard-link group
    pending = [top]
    while pending:
        path = pending.pop()
        if since is None and _is_own(path, roots):
            continue
        status = os.lstat(path)
        if stat.S_ISDIR(status.st_mode):
            pending += sorted((os.path.join(path, name) for name in os.listdir(path)), reverse=True)
        shown = path
        if LINK_PLACE.search(path):
            shown = os.path.join(os.path.dirname(path), links.get(os.path.basename(path), "?"))
        facts = _facts(path, status, links, since)
        shown = CHANCE.sub(lambda match: match.group(1), shown[len(top) :])
        if since is not None and status.st_nlink > 1 and not stat.S_ISDIR(status.st_mode):
            facts.append(first.setdefault((status.st_dev, status.st_ino), shown))
        yield path, "%s %s" % (shown, facts)


def _links(roots):
    found = {}
    for root in roots:
        homes = [os.path.join(root, driver) for driver in ("overlay2", "fuse-overlayfs")]
        for home in ("home", "kept/home", "kept/previous-home"):
            homes += glob.glob(os.path.join(glob.escape(root), OWN, "*", home))
        for folder in [os.path.join(home, "l") for home in homes]:
            for name in os.listdir(folder) if os.path.isdir(folder) else []:
                if os.path.islink(os.path.join(folder, name)):
                    found[name] = "link-of-" + os.readlink(os.path.join(folder, name)).replace("/", "-")
    return found


def _facts(path, status, links, since):
    # A mark's own time is shown by nothing: drover makes whiteouts, and aufs's files of that meaning, anew.
    whiteout = (stat.S_ISCHR(status.st_mode) and status.st_rdev == 0) or AUFS_MARK.search(path)
    content = (since is not None or CONTENT.search(path)) and not whiteout
    own_time = since is not None and status.st_mtime_ns >= since
    facts = [
        stat.filemode(status.st_mode),
        "%o" % status.st_mode,
        status.st_uid,
        status.st_gid,
        status.st_mtime_ns if content and not own_time else "",
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
        if since is not None and "/%s/" % OWN in path:
            data = TIMES.sub(b"", data)
        facts.append(hashlib.sha256(data).hexdigest())
    elif not stat.S_ISDIR(status.st_mode):
        facts.append(status.st_rdev)
    return facts
