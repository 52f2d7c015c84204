"""One run of libFuzzer over one target, in one of the two builds, and what it said at its end."""
import os
import re
import shutil
import signal
import statistics
import subprocess
import tempfile
import threading

HERE = os.path.dirname(os.path.abspath(__file__))
TREE = os.path.dirname(os.path.dirname(HERE))
ASAN, FAST = "build-debug", "build-fuzz-fast"
# What is found to be of interest is shared by both.
CORPUS = os.path.join(TREE, ASAN, "corpus")
LONGEST_INPUT = 16384
INTERRUPTED = 72  # libFuzzer's exit status

# Kept from malloc's top: blocks of some 100 KB that zlib asks for are else mapped, and cleared, each time.
MALLOC = (
    "glibc.malloc.mmap_threshold=33554432:glibc.malloc.trim_threshold=268435456:glibc.malloc.top_pad=16777216"
)


class Stopped(Exception):
    """The user has asked for the end."""


class Result:
    """`made_up` are the executions without those of the corpus with which a run begins; `seconds` are a processor's,
    whatever else it did in between."""

    def __init__(self, log, status, finds, seconds):
        self.executions, self.seconds = 0, seconds
        self.finds, self.interrupted = finds, status == INTERRUPTED
        self.failed = status not in (0, INTERRUPTED) and not finds
        self.reason = ""
        begun = 0
        for line in log.splitlines():
            if re.match(r"#\d+\s+INITED", line):
                begun = int(line[1:].split()[0])
            elif line.startswith("stat::number_of_executed_units:"):
                self.executions = int(line.split()[1])
            elif not self.reason and re.search(r"broken promise|ERROR: |runtime error", line):
                self.reason = line.strip()
        self.made_up = max(0, self.executions - begun)
        self.per_second = self.executions / seconds if seconds else 0


class Fuzzer:
    """The processes of several targets at once may be started by one of these, and are ended by its stop()."""

    def __init__(self):
        self.running, self.lock, self.stopped = set(), threading.Lock(), False
        # Files in memory where that can be: many targets write some for each execution.
        self.work = tempfile.mkdtemp(
            prefix="drover-fuzz-", dir="/dev/shm" if os.path.isdir("/dev/shm") else None
        )

    def close(self):
        shutil.rmtree(self.work, ignore_errors=True)

    def stop(self, *_):
        """libFuzzer says how far it came, and ends."""
        with self.lock:
            self.stopped = True
            for process in self.running:
                os.kill(process.pid, signal.SIGINT)

    def run(self, build, name, options, files=None):
        """Over the corpus, the seeds and the finds, or over these files; finds are moved to finds/NAME."""
        os.makedirs(os.path.join(CORPUS, name), exist_ok=True)
        work = tempfile.mkdtemp(prefix=name + ".", dir=self.work)
        try:
            os.mkdir(work + "/new")
            os.mkdir(work + "/tmp")
            command = [os.path.join(TREE, build, "tests/drover_fuzz"), "-print_final_stats=1"]
            command += ["-timeout=20", "-rss_limit_mb=2048", "-malloc_limit_mb=1024"]
            command += [f"-artifact_prefix={work}/new/"] + options
            # Of files that it is given by name libFuzzer keeps no find.
            command += folders_of(name) if files is None else [links_to(files, work + "/files")]
            log, status, seconds = self._end_of(command, name, build, work + "/tmp")
            try:
                if self._drop_false_alarms(work, name, build):
                    status = 0
            except Stopped:  # what was not tried again is kept
                pass
            return Result(log, status, keep_finds(work + "/new", name), seconds)
        finally:
            shutil.rmtree(work, ignore_errors=True)

    def _drop_false_alarms(self, work, name, build):
        """libFuzzer takes an input for slow by the clock, that of a machine that was stopped meanwhile, too: one that is
        quick when it is tried again is no find. Whether that was all there was."""
        found = os.listdir(work + "/new")
        slow = [each for each in found if each.startswith(("slow-unit-", "timeout-"))]
        for each in slow:
            command = [os.path.join(TREE, build, "tests/drover_fuzz"), "-timeout=20"]
            command += [f"-artifact_prefix={work}/again-", f"{work}/new/{each}"]
            _, status, _ = self._end_of(command, name, build, work + "/tmp", ".again.log")
            if status == 0 and not any(other.startswith("again-") for other in os.listdir(work)):
                os.unlink(f"{work}/new/{each}")
        return bool(slow) and not os.listdir(work + "/new")

    def _end_of(self, command, name, build, temporary, log_ends=".log"):
        environment = dict(os.environ, TMPDIR=temporary, DROVER_FUZZ_TARGET=name)
        if build == ASAN:  # leaks and growth are finds too
            environment["ASAN_OPTIONS"] = "detect_leaks=1:allocator_may_return_null=0"
            environment["UBSAN_OPTIONS"] = "print_stacktrace=1"
        else:
            environment["GLIBC_TUNABLES"] = MALLOC
        path = os.path.join(CORPUS, name + log_ends)
        with open(path, "wb") as log:
            with self.lock:
                if self.stopped:
                    raise Stopped
                # A session of its own: a Ctrl-C reaches it by stop() alone, once.
                process = subprocess.Popen(
                    command, cwd=TREE, env=environment, stdout=log, stderr=log, start_new_session=True
                )
                self.running.add(process)
            _, status, usage = os.wait4(process.pid, 0)
            with self.lock:
                self.running.discard(process)
            process.returncode = os.waitstatus_to_exitcode(status)
        with open(path, encoding="utf-8", errors="replace") as log:
            return log.read(), process.returncode, usage.ru_utime + usage.ru_stime


def folders_of(name):
    folders = [os.path.join(CORPUS, name), f"tests/fuzz/seeds/{name}"]
    return folders + [f for f in [f"tests/fuzz/finds/{name}"] if os.path.isdir(os.path.join(TREE, f))]


def links_to(files, folder):
    os.mkdir(folder)
    for file in files:
        os.symlink(file, os.path.join(folder, os.path.basename(file)))
    return folder


def keep_finds(new, name):
    finds = sorted(os.listdir(new))
    kept = os.path.join(HERE, "finds", name)
    for find in finds:
        os.makedirs(kept, exist_ok=True)
        shutil.move(os.path.join(new, find), os.path.join(kept, find))
    return finds


def all_targets():
    return sorted(os.listdir(os.path.join(HERE, "seeds")))


def corpus_files(name):
    folder = os.path.join(CORPUS, name)
    return {os.path.join(folder, file) for file in os.listdir(folder)} if os.path.isdir(folder) else set()


def thorough():
    """Everything that libFuzzer can learn from: it notes values that were compared, which the fast build does not tell,
    and prefers inputs that do what few do. Costs half of the time, or more."""
    return ["-use_value_profile=1", f"-max_len={LONGEST_INPUT}"]


def quick(name):
    """Coverage alone, and inputs of a common length."""
    sizes = [os.path.getsize(path) for path in corpus_files(name)]
    longest = min(LONGEST_INPUT, max(256, 2 * int(statistics.median(sizes)) if sizes else 0))
    return ["-entropic=0", f"-max_len={longest}"]


def build_tree(build):
    preset = {ASAN: "debug", FAST: "fuzz-fast"}[build]
    subprocess.run(["cmake", "--preset", preset], cwd=TREE, check=True, stdout=subprocess.DEVNULL)
    command = ["cmake", "--build", "--preset", preset, "--target", "drover_fuzz", "--", "--quiet"]
    subprocess.run(command, cwd=TREE, check=True)
