"""A real dockerd on paths of its own; its API for looking, the docker client for doing."""
import contextlib
import http.client
import json
import os
import select
import signal
import socket
import subprocess
import urllib.parse

START_SECONDS = 90
STOP_SECONDS = 60
CLIENT = "/usr/bin/docker"
# `around` an engine whose speed nobody measures: it starts itself anew for each layer and container, and a quarter of
# that time goes into collecting garbage.
FEW_COLLECTIONS = ("env", "GOGC=off", "GOMEMLIMIT=256MiB")


class EngineError(Exception):
    pass


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=300)
        self._path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Engine:
    """`place` names the paths (machine.Place). The driver is in the config file, where drover puts it. `around` is what
    stands before `dockerd` in its command line."""

    def __init__(self, place, around=()):
        self.place = place
        self.around = around
        self.names_root = True  # on the command line; else the config file does
        self.socket_path = os.path.join(place.run, "docker.sock")
        self.listens_at = "unix://" + self.socket_path
        self._process = None

    def start(self):
        self.begin()
        exited = os.pidfd_open(self._process.pid)
        try:
            self._wait_until_ready(exited)
        finally:
            os.close(exited)
        return self

    def begin(self):
        """Starts it and waits for nothing; returns the process."""
        os.makedirs(self.place.run, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.socket_path)  # one that was handed to it stays
        log = open(self.place.engine_log, "ab")
        self._process = subprocess.Popen(
            [
                *self.around,
                "dockerd",
                "--config-file",
                self.place.config,
                *(["--data-root", self.place.data_root] if self.names_root else []),
                "--exec-root",
                os.path.join(self.place.run, "exec"),
                "-p",
                os.path.join(self.place.run, "docker.pid"),
                "-H",
                self.listens_at,
                "--iptables=false",
                "--ip6tables=false",
                "--bridge=none",
                "--cgroup-parent",
                self.place.cgroup,
            ],
            stdout=log,
            stderr=log,
        )
        log.close()
        return self._process

    def _wait_until_ready(self, exited):
        """The socket is there before the engine answers: a request on it ends when the engine does."""
        for _ in range(START_SECONDS * 50):
            try:
                self.api("/info")
                return
            except (OSError, http.client.HTTPException):
                # Nothing tells when the socket appears; the engine's death ends the wait at once.
                if select.select([exited], [], [], 0.02)[0]:
                    self._process.wait()
                    self._process = None
                    raise EngineError("the engine did not start: " + self.last_log_line())
        raise EngineError("the engine did not answer in %d seconds" % START_SECONDS)

    def join(self):
        """Waits until it has ended by itself; returns its exit code."""
        code = self._process.wait(START_SECONDS)
        self._process = None
        return code

    def stop(self):
        if self._process is None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise EngineError("the engine did not stop in %d seconds" % STOP_SECONDS)
        finally:
            self._process = None

    def kill(self):
        """Its containers go on."""
        self._process.kill()
        self._process.wait()
        self._process = None

    def restart(self):
        self.stop()
        return self.start()

    def last_log_line(self):
        with open(self.place.engine_log, "rb") as log:
            lines = log.read().decode("utf-8", "replace").splitlines()
        return lines[-1] if lines else "it wrote no log"

    @contextlib.contextmanager
    def response(self, path, method="GET", **query):
        connection = UnixConnection(self.socket_path)
        try:
            url = "/v1.41" + path + ("?" + urllib.parse.urlencode(query, doseq=True) if query else "")
            connection.request(method, url)
            answer = connection.getresponse()
            if answer.status >= 400:
                raise EngineError(
                    "%s %s: %s" % (method, url, answer.read().decode("utf-8", "replace").strip())
                )
            yield answer
        finally:
            connection.close()

    def api(self, path, method="GET", **query):
        with self.response(path, method, **query) as answer:
            return json.loads(answer.read() or b"null")

    def docker(self, *arguments, input_bytes=None, buildkit=False, check=True):
        """Runs the docker client; returns what it printed, stdout and stderr together."""
        environment = dict(
            os.environ,
            DOCKER_HOST="unix://" + self.socket_path,
            HOME=self.place.run,
            DOCKER_BUILDKIT="1" if buildkit else "0",
        )
        done = subprocess.run(
            [CLIENT, *arguments],
            env=environment,
            input=input_bytes,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=300,
        )
        text = done.stdout.decode("utf-8", "replace")
        if check and done.returncode != 0:
            raise EngineError(
                "docker %s: exit %d: %s" % (" ".join(arguments), done.returncode, text.strip()[-400:])
            )
        return text
