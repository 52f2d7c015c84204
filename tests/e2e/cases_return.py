"""The way back, and giving up the way back."""
import os

BUILD = b"FROM base:1\nRUN echo by buildkit >/later\nRUN echo more >>/later\n"


def rollback(bench, source, target):
    """After a switch and a life under the new driver, everything is as it was, the config's bytes too."""
    bench.take_source(source)
    config = bench.config_bytes()
    bench.drover("migrate", "--to", target, "--yes")
    bench.engine.start()
    bench.check_driver(target)
    bench.engine.docker(
        "run", "--name", "later", "--network", "none", "base:1", "sh", "-c", "echo made later >/later"
    )
    bench.engine.docker("start", "edits")
    bench.engine.docker("wait", "edits")
    bench.engine.docker("rm", "unchanged")
    build_with_buildkit(bench, "later:kit")
    bench.engine.stop()
    bench.drover("rollback", "--yes")
    if bench.config_bytes() != config:
        raise AssertionError("the engine's config is not what it was: %r" % bench.config_bytes())
    require_absent(
        bench.home(target),
        os.path.join(bench.place.root, "image", target),
        os.path.join(bench.place.root, "drover"),
    )
    bench.check_all(bench.before, bench.driver)
    bench.engine.start()
    build_with_buildkit(bench, "again:kit")
    bench.engine.docker("builder", "prune", "-af")
    bench.engine.stop()


def build_with_buildkit(bench, tag):
    """The cache must name no layer that is not there: what it has of this build is made under another driver."""
    bench.engine.docker("build", "--network", "none", "-t", tag, "-", input_bytes=BUILD, buildkit=True)
    shown = bench.engine.docker("run", "--rm", "--network", "none", tag, "cat", "/later")
    if shown != "by buildkit\nmore\n":
        raise AssertionError("the image that was built shows %r" % shown)


def round_trip(bench, source, over):
    """There, commit, and back; the old home's space is free after the commit."""
    bench.take_source(source)
    start, config = bench.driver, bench.config_bytes()
    bench.drover("migrate", "--to", over, "--yes")
    used = used_bytes(bench)
    bench.drover("commit", "--yes")
    require_absent(
        bench.home(start),
        os.path.join(bench.place.root, "image", start),
        os.path.join(bench.place.root, "drover"),
    )
    if used_bytes(bench) >= used:
        raise AssertionError(
            "commit freed nothing: %d bytes in use before, %d after" % (used, used_bytes(bench))
        )
    bench.drover("rollback", "--yes", expect=None)  # nothing to roll back to: the root must stay usable
    bench.check_all(bench.before, over)
    bench.drover("migrate", "--to", start, "--yes")
    bench.check_all(bench.before, start)
    bench.drover("commit", "--yes")
    require_absent(
        bench.home(over),
        os.path.join(bench.place.root, "image", over),
        os.path.join(bench.place.root, "drover"),
    )
    bench.check_all(bench.before, start)
    if bench.config_bytes() != config:
        raise AssertionError("the config after a round trip: %r" % bench.config_bytes())


def commit_beside_the_engine(bench, source, target):
    """The old data is deleted while the engine runs on the new: it must not notice."""
    bench.take_source(source)
    bench.drover("migrate", "--to", target, "--yes")
    bench.engine.start()
    bench.drover("commit", "--yes")
    bench.check_running_engine_shows(bench.before, target)
    bench.engine.stop()
    require_absent(bench.home(bench.driver), os.path.join(bench.place.root, "drover"))
    bench.check_all(bench.before, target)


def commit_only_after_switch(bench, source):
    """commit and rollback without a migration say so and change nothing."""
    bench.take_source(source)
    for verb in ("commit", "rollback"):
        ran = bench.drover(verb, "--yes", expect=1)
        if "drover: " not in ran.err:
            raise AssertionError("%s without a migration gives no message" % verb)
    bench.check_all(bench.before, bench.driver)


def second_migration_is_refused(bench, source, over):
    """While one can still be rolled back, another is refused with exit 11, and the first stays as it is."""
    bench.take_source(source)
    bench.drover("migrate", "--to", over, "--yes")
    for target in ("fuse-overlayfs", bench.driver):
        ran = bench.drover("migrate", "--to", target, "--yes", expect=11)
        if "hint: " not in ran.err:
            raise AssertionError("no hint: %s" % ran.err)
    bench.check_all(bench.before, over)
    bench.drover("rollback", "--yes")
    bench.check_all(bench.before, bench.driver)


def require_absent(*paths):
    for path in paths:
        if os.path.lexists(path):
            raise AssertionError(
                "%s is still there: %s" % (path, os.listdir(path) if os.path.isdir(path) else "a file")
            )


def used_bytes(bench):
    os.sync()
    status = os.statvfs(bench.place.disk)
    return (status.f_blocks - status.f_bfree) * status.f_frsize


def cases():
    found = [
        (
            "rollback/%s-to-%s" % (source, target),
            source,
            lambda bench, source=source, target=target: rollback(bench, source, target),
        )
        for source, target in (
            ("overlay2@xfs", "vfs"),
            ("vfs@ext4", "overlay2"),
            ("overlay2@btrfs", "btrfs"),
            ("btrfs@btrfs", "overlay2"),
            ("fuse-overlayfs@ext4", "overlay2"),
        )
    ]
    found += [
        (
            "round-trip/%s-%s" % (source, over),
            source,
            lambda bench, source=source, over=over: round_trip(bench, source, over),
        )
        for source, over in (("overlay2@btrfs", "btrfs"), ("overlay2@ext4", "vfs"))
    ]
    found.append(
        (
            "commit/engine-running",
            "overlay2@btrfs",
            lambda bench: commit_beside_the_engine(bench, "overlay2@btrfs", "btrfs"),
        )
    )
    found.append(
        ("commit/none-open", "overlay2@ext4", lambda bench: commit_only_after_switch(bench, "overlay2@ext4"))
    )
    found.append(
        (
            "commit/second-migration",
            "overlay2@ext4",
            lambda bench: second_migration_is_refused(bench, "overlay2@ext4", "vfs"),
        )
    )
    return found
