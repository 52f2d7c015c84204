"""A layer's view read from the disk without the engine and without drover: everything that a file has.

`docker export` leaves out nanoseconds, sockets, most xattrs and holes; this walk does not."""
import contextlib
import hashlib
import os
import shutil
import stat
import subprocess

import aufs
import machine


def mount_id(root, driver, container):
    with open(os.path.join(root, "image", driver, "layerdb/mounts", container, "mount-id")) as file:
        return file.read().strip()


def chain_id(diff_ids):
    """64 hex digits, of the layer that these make together."""
    chain = diff_ids[0]
    for diff_id in diff_ids[1:]:
        chain = "sha256:" + hashlib.sha256((chain + " " + diff_id).encode()).hexdigest()
    return chain.removeprefix("sha256:")


def top_cache_id(root, driver, diff_ids):
    with open(os.path.join(root, "image", driver, "layerdb/sha256", chain_id(diff_ids), "cache-id")) as file:
        return file.read().strip()


@contextlib.contextmanager
def view(place, driver, layer):
    """A directory that shows the layer as a container would see it, read-only."""
    home = os.path.join(place.root, driver)
    if driver == "vfs":
        yield os.path.join(home, "dir", layer)
    elif driver == "btrfs":
        yield os.path.join(home, "subvolumes", layer)
    elif driver == "overlay":
        yield from _old_overlay(home, layer, os.path.join(place.run, "view"))
    elif driver == "aufs":
        target = os.path.join(place.disk, "aufs-view")
        aufs.merge(home, layer, target)
        try:
            yield target
        finally:
            shutil.rmtree(target)
    else:
        with open(os.path.join(home, layer, "link")) as file:
            lowers = "l/" + file.read().strip()
        if not os.path.exists(os.path.join(home, layer, "lower")) and driver == "overlay2":
            yield os.path.join(home, layer, "diff")  # overlay wants two directories
            return
        if os.path.exists(os.path.join(home, layer, "lower")):
            with open(os.path.join(home, layer, "lower")) as file:
                lowers += ":" + file.read().strip()
        with _mounted(driver, home, lowers, os.path.join(place.run, "view")) as target:
            yield target


def _old_overlay(home, layer, target):
    if os.path.exists(os.path.join(home, layer, "root")):
        yield os.path.join(home, layer, "root")
        return
    with open(os.path.join(home, layer, "lower-id")) as file:
        lowers = "%s/upper:%s/root" % (layer, file.read())
    with _mounted("overlay2", home, lowers, target) as mounted:
        yield mounted


@contextlib.contextmanager
def _mounted(driver, home, lowers, target):
    os.makedirs(target, exist_ok=True)
    commands = {
        "overlay2": ["mount", "-t", "overlay", "overlay", "-o", "ro,lowerdir=" + lowers, target],
        "fuse-overlayfs": ["fuse-overlayfs", "-o", "ro,lowerdir=" + lowers, target],
    }
    # Relative paths: all of them together must fit the one page that mount(2) takes.
    subprocess.run(commands[driver], cwd=home, check=True, stderr=subprocess.DEVNULL)
    try:
        yield target
    finally:
        machine.run("umount", target)


def walk(top):
    """{path: facts}, paths as text with surrogates for bytes that are not UTF-8."""
    entries, groups = {}, {}
    pending = [""]
    while pending:
        relative = pending.pop()
        path = os.path.join(top, relative) if relative else top
        facts, status = _facts(path)
        entries[relative or "."] = facts
        if stat.S_ISDIR(status.st_mode):
            pending += [os.path.join(relative, name) for name in os.listdir(path)]
        elif status.st_nlink > 1:
            groups.setdefault((status.st_dev, status.st_ino), []).append(relative)
    for names in groups.values():
        if len(names) > 1:
            for name in names:
                entries[name]["linked with"] = sorted(set(names) - {name})
    return entries


def _facts(path):
    status = os.lstat(path)
    facts = {
        "type": stat.filemode(status.st_mode)[0],
        "mode": oct(stat.S_IMODE(status.st_mode)),
        "owner": "%d:%d" % (status.st_uid, status.st_gid),
        "mtime": status.st_mtime_ns,
    }
    xattrs = {
        name: os.getxattr(path, name, follow_symlinks=False).hex()
        for name in os.listxattr(path, follow_symlinks=False)
        if not name.startswith("trusted.SGI_ACL_")  # xfs's own form of an ACL
    }
    if xattrs:
        facts["xattrs"] = xattrs
    if stat.S_ISREG(status.st_mode):
        facts["size"] = status.st_size
        facts["sha256"] = _digest(path)
        if status.st_size >= 1 << 20:
            facts["has holes"] = status.st_blocks * 512 < status.st_size // 2
    elif stat.S_ISLNK(status.st_mode):
        facts["target"] = os.readlink(path)
    elif stat.S_ISCHR(status.st_mode) or stat.S_ISBLK(status.st_mode):
        facts["device"] = "%d:%d" % (os.major(status.st_rdev), os.minor(status.st_rdev))
    return facts, status


def _digest(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
