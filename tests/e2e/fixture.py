"""What a data root holds, made by the engine itself: loaded, built and committed images, containers."""
import os

import images

# Containers run this at every start: the first time `act`, and always `check`, after a migration too.
SCRIPT = """[ -e /once ] && echo again || { echo first; touch /once
set -e
%s
set +e; }
%s
"""

# name: (image, docker arguments, act, check)
CONTAINERS = {
    "edits": (
        "rich:1",
        [],
        """
        echo more >>/etc/passwd; echo new >/srv/new; mkdir -p /made/by/hand; echo x >/made/by/hand/file
        echo changed >/srv/again; touch -t 196001020304.05 /srv/keep/b; ln -s nowhere /srv/new-link
        echo odd >"/srv/$(printf 'caf\\351')"; mv /srv/keep/c /srv/keep/d
        rm /srv/dir-to-link; mkdir /srv/dir-to-link
    """,
        "grep -q more /etc/passwd && [ -d /srv/dir-to-link ] && [ -e /srv/keep/d ] && [ ! -e /srv/keep/c ]",
    ),
    "deletions": (
        "rich:1",
        [],
        "rm /srv/again /kinds/empty /kinds/setuid; rm -r /srv/keep/sub /srv/delete /names /srv/opaque",
        "[ ! -e /names ] && [ ! -e /srv/again ] && [ ! -e /srv/delete ] && [ -e /srv/keep/a ]",
    ),
    "recreated": (
        "rich:2",
        [],
        """
        rm -r /srv/redo /srv/keep; mkdir /srv/redo /srv/keep; echo only >/srv/redo/only; mkdir /srv/keep/sub
        rm /srv/again; mkdir /srv/again; rm -r /srv/modes; echo file >/srv/modes
    """,
        '[ "$(ls /srv/redo)" = only ] && [ "$(ls -A /srv/keep)" = sub ] && [ -f /srv/modes ]',
    ),
    "renamed": (
        "rich:1",
        [],
        "mv /srv/rename /srv/renamed; mv /srv/redo/sub /moved; mv /srv/modes /srv/rename",
        "[ -e /srv/renamed/sub/deep ] && [ -e /moved/deep ] && [ ! -e /srv/modes ] && [ -e /srv/rename/a ]",
    ),
    "links": (
        "rich:1",
        [],
        """
        ln /srv/links/two /srv/links/new; ln /srv/forge/a /linked-lower; echo y >/own
        ln /own /own-too; ln /own /srv/own-3; rm /srv/links/three; echo more >>/srv/linked-elsewhere
    """,
        "[ /own -ef /own-too ] && [ /linked-lower -ef /srv/forge/a ] && [ -e /srv/links/new ]",
    ),
    "modes": (
        "rich:1",
        [],
        """
        chmod 4711 /srv/modes/a; chown 1234:3000000000 /srv/modes/b; chmod 1700 /srv/modes/sub
        chown 5 /srv/modes; chown -h 77 /kinds/dangling; chmod 600 /kinds/zeros
    """,
        "[ -u /srv/modes/a ] && [ -k /srv/modes/sub ]",
    ),
    "forged": (
        "rich:1",
        [],
        """
        cp -p /srv/forge/a /tmp/ref; echo "A of forge" >/srv/forge/a; touch -r /tmp/ref /srv/forge/a
        touch -r /srv/forge /tmp/dir; cp -p /srv/forge/b /tmp/b; rm /srv/forge/b; cp -p /tmp/b /srv/forge/b
        rm /srv/forge/c; echo "C of forge" >/srv/forge/c; touch -r /tmp/ref /srv/forge/c
        touch -r /tmp/dir /srv/forge
    """,
        "grep -q '^A of' /srv/forge/a && grep -q '^C of' /srv/forge/c",
    ),
    "special": (
        "rich:1",
        [],
        """
        mkfifo -m 620 /srv/fifo; mknod /srv/char c 5 1; mknod -m 600 /srv/block b 7 9
        ln -s /srv/socket /dev/log; syslogd -n & until [ -S /srv/socket ]; do sleep 0.02; done; kill $!
        rm /kinds/user-xattr; mkfifo /kinds/user-xattr
        mknod /srv/again-char c 1 7; ln /srv/again-char /srv/char-link
    """,
        "[ -p /srv/fifo ] && [ -c /srv/char ] && [ -b /srv/block ] && [ -S /srv/socket ]",
    ),
    "sparse": (
        "fewer:1",
        [],
        """
        truncate -s 64M /sparse; echo middle | dd of=/sparse bs=1 seek=33554432 conv=notrunc 2>/dev/null
        echo tail >>/kinds/zeros
    """,
        '[ "$(tail -c 4 /kinds/zeros)" = ail ] && [ -s /sparse ]',
    ),
    "volume": (
        "base:1",
        ["-v", "data:/data", "-v", "/srv/keep"],
        "echo kept >/data/file; echo anon >/srv/keep/anon",
        "[ -e /data/file ] && [ -e /srv/keep/anon ]",
    ),
    "deep": (
        "deep:1",
        [],
        "rm /deep/00; echo me >/deep/counter; rm -r /deep/dir; mkdir /deep/dir",
        '[ ! -e /deep/00 ] && [ -e /deep/65 ] && grep -q me /deep/counter && [ -z "$(ls /deep/dir)" ]',
    ),
    "user": (
        "built:1",
        ["--user", "1000:1000", "-w", "/made/here", "--read-only", "--tmpfs", "/once-dir"],
        None,
        "[ -d /made/here ] && [ ! -e /once-dir/x ]",
    ),
}
ON_COMMITTED = ("rm /srv/new; echo on-top >/srv/on-top; rm -r /made", "[ -e /srv/on-top ] && [ ! -e /made ]")

DOCKERFILE = """FROM base:1
COPY --chown=12:34 context/ /copied/
RUN rm /srv/gone && rm -r /srv/gone-dir && mkdir -p /new/dir && echo x >/new/dir/file
RUN rm -r /srv/redo && mkdir /srv/redo && echo only >/srv/redo/only
RUN ln /copied/one /copied/linked && ln /srv/links/one /srv/links/built
RUN chmod 4755 /srv/forge/a && chown 9:9 /srv/forge
ENV KEY="a value"
RUN mv /srv/rename /srv/renamed && touch -t 200001010000 /srv/renamed/a
RUN true
CMD ["sh", "-c", "cat /new/dir/file"]
"""
BUILDKIT_EXTRA = "RUN echo built by buildkit >/by-buildkit && rm -r /new\n"


def make(engine, place, drivers, deep):
    """Fills an engine that runs on an empty data root, with what all these drivers can hold; `deep` is whether with
    a stack of many layers, too. Afterwards all containers have ended."""
    archive = os.path.join(place.run, "images.tar")
    images.write_archive(archive, images.read_busybox(), drivers, deep)
    engine.docker("load", "-i", archive)
    os.unlink(archive)
    _write_build_context(place)
    build(engine, place, "built:1", buildkit=False)
    build(engine, place, "built:kit", buildkit=True)
    engine.docker("tag", "built:1", "another/name:latest")
    _dangle(engine, place)
    engine.docker("create", "--name", "never", "--network", "none", "rich:1", "sh", "-c", "echo at last")
    engine.docker("create", "--name", "scratch", "--network", "none", "scratch:1")
    engine.docker("run", "-d", "--name", "unchanged", "--network", "none", "rich:2", "true")
    engine.docker(
        "run", "-d", "--name", "failed", "--network", "none", "rich:1", "sh", "-c", "echo no >&2; exit 3"
    )
    for name, (image, options, act, check) in CONTAINERS.items():
        if name != "deep" or deep:
            run_container(engine, name, image, options, SCRIPT % (act, check) if act else check)
    wait_for_exits(engine)
    engine.docker("commit", "-m", "by hand", "-c", "LABEL committed=yes", "edits", "work:1")
    run_container(
        engine,
        "committed",
        "work:1",
        [],
        "%s; %s" % ("[ -e /srv/on-top ] || { %s; }" % ON_COMMITTED[0], ON_COMMITTED[1]),
    )
    wait_for_exits(engine)


def run_container(engine, name, image, options, script):
    engine.docker(
        "run",
        "-d",
        "--name",
        name,
        "--hostname",
        name,
        "--network",
        "none",
        *options,
        image,
        "sh",
        "-c",
        script
    )


def expected_exit_code(name):
    return {"failed": 3}.get(name, 0)


def wait_for_exits(engine):
    """Waits for every started container; a script that did not do what it should is an error."""
    wrong = []
    for container in engine.api("/containers/json", all=1):
        name = container["Names"][0].lstrip("/")
        if container["State"] == "created":
            continue
        code = engine.api("/containers/%s/wait" % name, method="POST")["StatusCode"]
        if code != expected_exit_code(name):
            wrong.append("container %s ended with %d: %s" % (name, code, engine.docker("logs", name).strip()))
    if wrong:
        raise RuntimeError("; ".join(wrong))


def _write_build_context(place):
    context = os.path.join(place.disk, "build", "context")
    os.makedirs(os.path.join(context, "sub"))
    for name in ("one", "two", "sub/three"):
        path = os.path.join(context, name)
        with open(path, "w") as file:
            file.write("copied %s\n" % name)
        os.utime(path, ns=(0, 1450000000123456789))
    for name, text in (("Dockerfile", DOCKERFILE), ("Dockerfile.kit", DOCKERFILE + BUILDKIT_EXTRA)):
        with open(os.path.join(place.disk, "build", name), "w") as file:
            file.write(text)


def build(engine, place, tag, buildkit):
    """Returns the builder's output."""
    folder = os.path.join(place.disk, "build")
    return engine.docker(
        "build",
        "--network",
        "none",
        "-t",
        tag,
        "-f",
        os.path.join(folder, "Dockerfile.kit" if buildkit else "Dockerfile"),
        *(["--progress", "plain"] if buildkit else []),
        folder,
        buildkit=buildkit
    )


def _dangle(engine, place):
    """An image whose only tag moves on to another."""
    for text in ("first", "second"):
        engine.docker(
            "build",
            "--network",
            "none",
            "-t",
            "moving:1",
            "-",
            buildkit=False,
            input_bytes=("FROM built:1\nRUN echo %s >/moving\n" % text).encode(),
        )
