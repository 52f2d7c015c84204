"""aufs homes read without an aufs kernel and without drover."""
import os
import shutil
import stat

WHITEOUT = ".wh."
OPAQUE = ".wh..wh..opq"
BOOKKEEPING = ".wh..wh."


def merge(home, layer, target):
    """Makes `target` what a mount of this layer shows. Files are hard links to the branches' own."""
    os.mkdir(target)
    for branch in reversed([layer] + parents(home, layer)):
        _put_on(os.path.join(home, "diff", branch), target, top=True)


def parents(home, layer):
    with open(os.path.join(home, "layers", layer)) as file:
        return file.read().split()


def _put_on(source, target, top):
    names = os.listdir(source)
    if OPAQUE in names and not top:
        for name in os.listdir(target):
            _remove(os.path.join(target, name))
    for name in names:
        if name.startswith(WHITEOUT) and not name.startswith(BOOKKEEPING):
            _remove(os.path.join(target, name[len(WHITEOUT) :]))
    for name in names:
        if name.startswith(WHITEOUT):
            continue
        ours, place = os.path.join(source, name), os.path.join(target, name)
        if not stat.S_ISDIR(os.lstat(ours).st_mode):
            _remove(place)
            os.link(ours, place, follow_symlinks=False)
            continue
        if not (os.path.lexists(place) and stat.S_ISDIR(os.lstat(place).st_mode)):
            _remove(place)
            os.mkdir(place)
        _put_on(ours, place, top=False)
    _copy_attributes(source, target)


def _remove(path):
    if not os.path.lexists(path):
        return
    if stat.S_ISDIR(os.lstat(path).st_mode):
        shutil.rmtree(path)
    else:
        os.unlink(path)


def _copy_attributes(source, target):
    status = os.stat(source)
    os.chown(target, status.st_uid, status.st_gid)
    for name in os.listxattr(target):
        os.removexattr(target, name)
    shutil.copystat(source, target)


def branches(home):
    """{branch/path: what it is}: of marks only that they are there, of all else type, mode, owner, time, size
    and link target; without the kernel's own book-keeping, which every mount makes anew."""
    facts = {}
    diff = os.path.join(home, "diff")
    for folder, folders, files in os.walk(diff):
        folders[:] = [name for name in folders if not name.startswith(BOOKKEEPING)]
        for name in folders + files:
            path = os.path.join(folder, name)
            if name.startswith(WHITEOUT):
                if name == OPAQUE or not name.startswith(BOOKKEEPING):
                    facts[os.path.relpath(path, diff)] = "mark"
                continue
            status = os.lstat(path)
            facts[os.path.relpath(path, diff)] = {
                "mode": stat.filemode(status.st_mode),
                "owner": "%d:%d" % (status.st_uid, status.st_gid),
                "mtime": status.st_mtime_ns,
                "size": None if stat.S_ISDIR(status.st_mode) else status.st_size,
                "target": os.readlink(path) if stat.S_ISLNK(status.st_mode) else None,
            }
    return facts


def skeleton(home):
    """The home around the branches: who stands on whom, and folders with mode and owner."""
    facts = {
        "layers/" + layer: " ".join(parents(home, layer))
        for layer in os.listdir(os.path.join(home, "layers"))
    }
    for folder in ("", "diff", "layers", "mnt"):
        facts[folder or "."] = _mode(os.path.join(home, folder))
    for folder in ("diff", "mnt"):
        for layer in os.listdir(os.path.join(home, folder)):
            facts[folder + "/" + layer] = _mode(os.path.join(home, folder, layer))
    for layer in os.listdir(os.path.join(home, "layers")):
        facts["layers/" + layer] += " " + _mode(os.path.join(home, "layers", layer))
    return facts


def _mode(path):
    status = os.lstat(path)
    return "%s %d:%d" % (stat.filemode(status.st_mode), status.st_uid, status.st_gid)
