"""The realistic data root: a Debian image of eight layers, and containers with edits, made by a real engine.

Full: toolchains (gcc, clang, go, python) and an npm tree, out of Debian's packages (make_packages). Small: this machine's
own Python library, for which no mirror is asked. Kept as one tar in DROVER_CACHE: the second time it is only unpacked."""
import glob
import hashlib
import os
import subprocess
import tarfile
import tempfile

from engine import Engine

HERE = os.path.dirname(os.path.abspath(__file__))
CACHE = os.environ.get("DROVER_CACHE", "/var/cache/drover")
LAYERS = ("base", "python", "gcc", "llvm", "go", "node")
BUILD = """FROM scratch
%s
RUN mkdir -p /app && cp -a %s /app/node_modules && rm -rf /usr/share/doc/*
RUN cd /app/node_modules && rm -rf $(ls | head -n 5) && find . -type f | head -n 200 | xargs touch
CMD ["/bin/sh"]
"""
TREES = {"full": "/usr/share/nodejs", "small": "/usr/lib/python/site"}
SMALL_FILES, SMALL_LARGEST = 120, 50_000  # in each layer; bytes
CONTAINERS = {
    "edits": "for f in $(find /app -type f | head -n 300); do echo edited >>$f; done; mkdir /work; cp -a /app /work/",
    "deletions": "rm -rf $(ls -d /app/node_modules/* | head -n 20); mkdir -p /var/log/app; echo x >/var/log/app/log",
    "log": "mkdir -p /data; dd if=/dev/zero bs=1024k count=4 | tr '\\\\0' x >/data/file; ln /data/file /data/link",
}
MAKE_PACKAGES = os.path.join(HERE, "make_packages")
NEEDED = {"full": {"bytes": 1_400_000_000, "files": 45_000}, "small": {"bytes": 1_000_000, "files": 500}}


def fetch(size):
    """What needs a network: namespaces that the benchmark runs in have none."""
    if size == "full" and not os.path.exists(_kept(size)):
        subprocess.run([MAKE_PACKAGES], stdout=subprocess.PIPE, check=True)


def put(root, size):
    """Fills a new data root, whose configuration is there."""
    kept = _kept(size)
    if not os.path.exists(kept):
        _make(root, size)
        _keep(root, kept)
        return
    subprocess.run(
        [
            "tar",
            "--zstd",
            "--xattrs",
            "--xattrs-include=*",
            "--numeric-owner",
            "-xf",
            kept,
            "-C",
            root.place.disk,
        ],
        check=True,
    )


def _kept(size):
    """Containers' records hold the root's path, which is always the same one."""
    digest = hashlib.sha256()
    for path in (__file__, MAKE_PACKAGES):
        with open(path, "rb") as file:
            digest.update(file.read())
    return os.path.join(CACHE, "bench-debian-%s-%s.tar.zst" % (size, digest.hexdigest()[:16]))


def _keep(root, kept):
    os.makedirs(CACHE, exist_ok=True)
    part = "%s.%d" % (kept, os.getpid())
    try:
        subprocess.run(
            [
                "tar",
                "-I",
                "zstd -1",
                "--xattrs",
                "--xattrs-include=*",
                "-C",
                root.place.disk,
                "-cf",
                part,
                "docker",
            ],
            check=True,
        )
        os.rename(part, kept)
    finally:
        if os.path.exists(part):
            os.unlink(part)


def _make(root, size):
    engine = Engine(root.place)
    engine.start()
    try:
        with tempfile.TemporaryDirectory(dir=root.disk.path) as work:
            if size == "small":
                _make_small_layers(work)
                folder = work
            else:
                folder = (
                    subprocess.run([MAKE_PACKAGES], stdout=subprocess.PIPE, check=True)
                    .stdout.decode()
                    .strip()
                )
            dockerfile = os.path.join(root.place.run, "Dockerfile")
            with open(dockerfile, "w") as file:
                file.write(BUILD % ("\n".join("ADD %s.tar /" % name for name in LAYERS), TREES[size]))
            _docker(
                engine, "build", "--network", "none", "-q", "-t", "debian:bench", "-f", dockerfile, folder
            )
        for name, script in CONTAINERS.items():
            _docker(
                engine, "run", "--network", "none", "--name", name, "debian:bench", "/bin/sh", "-c", script
            )
    finally:
        engine.stop()
    _check_size(root, size)


def _docker(engine, *words):
    """Not Engine.docker, which gives up after some minutes."""
    environment = dict(
        os.environ,
        DOCKER_HOST="unix://" + engine.socket_path,
        DOCKER_BUILDKIT="0",
        HOME=engine.place.run,
    )
    done = subprocess.run(
        ["docker", *words],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    if done.returncode != 0:
        raise RuntimeError(
            "docker %s: %s" % (words[0], done.stdout.decode("utf-8", "replace").strip()[-600:])
        )


def _make_small_layers(work):
    """busybox, and parts of this machine's Python library."""
    with tarfile.open(os.path.join(work, "base.tar"), "w") as tar:
        tar.add("/bin/busybox", "bin/busybox")
        for name in "sh cp rm mkdir ls head find touch xargs dd tr ln cat sort".split():
            link = tarfile.TarInfo("bin/" + name)
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(link)
    library = os.path.dirname(os.__file__)
    files = sorted(path for path in glob.glob(library + "/*/*.py") if os.path.getsize(path) < SMALL_LARGEST)
    for number, name in enumerate(LAYERS[1:]):
        with tarfile.open(os.path.join(work, name + ".tar"), "w") as tar:
            for path in files[number * SMALL_FILES :][:SMALL_FILES]:
                tar.add(path, "usr/lib/python/site" + path.removeprefix(library))


def _check_size(root, size):
    size_bytes = files = layers = 0
    for record in glob.glob(os.path.join(root.path, "image/overlay2/layerdb/sha256/*")):
        layers += 1
        with open(os.path.join(record, "size")) as file:
            size_bytes += int(file.read())
    for _, _, names in os.walk(root.home):
        files += len(names)
    if layers != 8 or size_bytes < NEEDED[size]["bytes"] or files < NEEDED[size]["files"]:
        raise RuntimeError("the Debian root has %d layers, %d bytes, %d files" % (layers, size_bytes, files))
    print("   %d layers, %.2f GB, %d files" % (layers, size_bytes / 1e9, files), flush=True)
