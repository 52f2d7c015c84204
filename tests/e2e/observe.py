"""Everything a user can see of an engine, as one comparable value.

Left out, because the engine itself gives other answers after a mere restart or for another driver:
- Driver and GraphDriver, which name the driver, and `docker ps`'s Status ("Exited 3 minutes ago");
- `docker ps -s`: the size of a writable layer is computed, and overlay2 counts otherwise than the others do;
- in /system/df the same computed sizes."""
import hashlib
import json
import os
import tarfile

import trees


def observe(engine):
    """Asks the engine, which runs."""
    images = {image["Id"]: image for image in engine.api("/images/json", all=1, digests=1)}
    containers = {container["Id"]: container for container in engine.api("/containers/json", all=1)}
    names = {container_id: container["Names"][0] for container_id, container in containers.items()}
    return {
        "images": images,
        "image inspect": {i: _without(engine.api("/images/%s/json" % i), "GraphDriver") for i in images},
        "image history": {i: engine.api("/images/%s/history" % i) for i in images},
        "image save": _saved(engine, images),
        "containers": {names[c]: _container(containers[c]) for c in containers},
        "container inspect": {
            names[c]: _container(engine.api("/containers/%s/json" % c)) for c in containers
        },
        "container diff": {names[c]: _changes(engine, c) for c in containers},
        "container export": {names[c]: _exported(engine, c) for c in containers},
        "container logs": {names[c]: _logs(engine, c) for c in containers},
        "volumes": {volume["Name"]: volume for volume in engine.api("/volumes")["Volumes"] or []},
        "networks": {network["Name"]: network["Id"] for network in engine.api("/networks")},
        "disk use": _disk_use(engine),
        "counts": {key: engine.api("/info")[key] for key in ("Images", "Containers", "ContainersStopped")},
    }


def observe_disk(place, driver, seen):
    """Every container's and image's view, every volume, read from the disk of a stopped engine."""
    facts = {}
    for name, container in seen["container inspect"].items():
        with trees.view(place, driver, trees.mount_id(place.root, driver, container["Id"])) as top:
            facts["tree of container " + name] = trees.walk(top)
    for image, inspected in seen["image inspect"].items():
        if inspected["RootFS"].get("Layers"):
            layer = trees.top_cache_id(place.root, driver, inspected["RootFS"]["Layers"])
            with trees.view(place, driver, layer) as top:
                facts["tree of image " + image] = trees.walk(top)
    for name, volume in seen["volumes"].items():
        facts["tree of volume " + name] = trees.walk(volume["Mountpoint"])
    return facts


def differences(before, after, where=""):
    """One line for each place where the two differ."""
    if isinstance(before, dict) and isinstance(after, dict):
        lines = []
        for key in sorted(set(before) | set(after), key=str):
            place = "%s > %r" % (where, key) if where else str(key)
            if key not in after:
                lines.append("%s: gone, was %s" % (place, _short(before[key])))
            elif key not in before:
                lines.append("%s: new, is %s" % (place, _short(after[key])))
            else:
                lines += differences(before[key], after[key], place)
        return lines
    return [] if before == after else ["%s: was %s, is %s" % (where, _short(before), _short(after))]


def _short(value):
    text = json.dumps(value, ensure_ascii=True, sort_keys=True)
    return text if len(text) <= 300 else text[:300] + "..."


def _without(value, *keys):
    return {key: value[key] for key in value if key not in keys}


def _container(facts):
    facts = _without(facts, "GraphDriver", "Status", "Driver")
    facts["Mounts"] = sorted(facts["Mounts"], key=lambda mount: mount["Destination"])  # a map's order
    return facts


def _changes(engine, container):
    kinds = {0: "C", 1: "A", 2: "D"}
    return {
        change["Path"]: kinds[change["Kind"]]
        for change in engine.api("/containers/%s/changes" % container) or []
    }


def _logs(engine, container):
    with engine.response("/containers/%s/logs" % container, stdout=1, stderr=1, timestamps=1) as answer:
        return answer.read().decode("utf-8", "backslashreplace")


def _saved(engine, images):
    """Member names and digests of one `docker save` of all images but the intermediate ones."""
    names = sorted(tag for image in images.values() for tag in tags(image))
    parents = {image["ParentId"] for image in images.values()}
    names += sorted(i for i, image in images.items() if not tags(image) and i not in parents)
    if not names:
        return {}
    members, links, manifest = {}, {}, None
    with engine.response("/images/get", names=names) as answer, tarfile.open(
        fileobj=answer, mode="r|"
    ) as archive:
        for member in archive:
            if member.issym():
                links[member.name] = member.linkname.removeprefix("../")
            elif member.isreg():
                data = archive.extractfile(member).read()
                members[member.name] = hashlib.sha256(data).hexdigest()
                manifest = json.loads(data) if member.name == "manifest.json" else manifest
    # Of the places that hold one layer, the engine makes any one the file and the others symlinks.
    members.update({name: members[target] for name, target in links.items()})
    _check_layers(manifest, members, engine)
    members["manifest.json"] = {entry["Config"]: entry for entry in manifest}  # its order changes each time
    members.pop(
        "index.json", None
    )  # of engines since 25, in no order; the manifests that it names are members, too
    return members


def tags(image):
    return [tag for tag in image["RepoTags"] or [] if tag != "<none>:<none>"]


def _check_layers(manifest, members, engine):
    """Each saved layer must be the one that its image's config names."""
    for entry in manifest:
        image_id = os.path.basename(entry["Config"]).removesuffix(".json")
        wanted = engine.api("/images/%s/json" % image_id)["RootFS"].get("Layers") or []
        digests = ["sha256:" + members[layer] for layer in entry["Layers"]]
        if digests != wanted:
            raise AssertionError("docker save of %s: layers %s, config says %s" % (image_id, digests, wanted))


def _exported(engine, container):
    entries = {}
    with engine.response("/containers/%s/export" % container) as answer:
        with tarfile.open(fileobj=answer, mode="r|", encoding="utf-8", errors="surrogateescape") as archive:
            for member in archive:
                entries[member.name] = {
                    "type": member.type.decode(),
                    "mode": oct(member.mode),
                    "owner": "%d:%d" % (member.uid, member.gid),
                    "size": member.size,
                    "mtime": member.mtime,
                    "link": member.linkname,
                    "device": "%d:%d" % (member.devmajor, member.devminor),
                    "xattrs": {key: value for key, value in member.pax_headers.items() if "xattr" in key},
                    "sha256": hashlib.sha256(archive.extractfile(member).read()).hexdigest()
                    if member.isreg()
                    else None,
                }
    return entries


def without_export_links(seen):
    """The same, but each hard link in an export is the file that it stands for: the engine finds not all of
    them through fuse-overlayfs."""
    exports = {}
    for container, entries in seen["container export"].items():
        exports[container] = {
            name: {**entries[facts["link"]], "mtime": facts["mtime"]} if facts["type"] == "1" else facts
            for name, facts in entries.items()
        }
    return {**seen, "container export": exports}


def with_missed_deletions(before, after):
    """What fuse-overlayfs showed, and in `docker diff` the deletions in directories that were deleted and made
    again: with this driver the engine does not see them. Only of paths that were gone before, too."""
    changes = {}
    for container, old in before["container diff"].items():
        exported = {name.rstrip("/") for name in before["container export"][container]}
        changes[container] = dict(old)
        for path, kind in after["container diff"].get(container, {}).items():
            if kind == "D" and path not in old and path.lstrip("/") not in exported:
                changes[container][path] = "D"
                changes[container].setdefault(os.path.dirname(path), "C")
    return {**before, "container diff": changes}


def _disk_use(engine):
    use = engine.api("/system/df")
    return {
        "layers": use["LayersSize"],
        "images": {
            image["Id"]: [image["SharedSize"], image["Size"], image["Containers"]] for image in use["Images"]
        },
        "build cache": {record["ID"]: _without(record, "Size") for record in use["BuildCache"] or []},
        "volumes": {volume["Name"]: volume["UsageData"] for volume in use["Volumes"] or []},
    }
