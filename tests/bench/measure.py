"""Runs a command and says what it took.

- seconds: wall time, from before the process is made until its end; sync_seconds: of `sync -f` on what was written,
  right after it. Both together are what a rival took, and what drover took: drover syncs by itself, which counts.
- cpu: user and system time of it and of the processes that it waited for. The kernel's own threads (writeback, loop
  devices) are nobody's.
- peak: the sum of VmHWM, the largest resident set so far, over the processes of its tree, the largest seen: read every
  10 ms. Page cache, which a cgroup's memory would count in, is not in it. Of drover it is its own process: dockerd and
  others, which it asks for their versions, are as large as they are.
- read, written: of the block devices, in bytes, until the sync's end.
- read_by_calls: what read(2), copy_file_range(2) and the like returned, from the cache as well.
- calls: system calls, in a run of their own: perf counts them at hardly any cost, strace where there is no perf."""
import dataclasses
import os
import select
import subprocess
import tempfile
import time

SECTOR = 512
CLOCK = os.sysconf("SC_CLK_TCK")
SAMPLE_SECONDS = 0.01


class Failed(Exception):
    """A command, or a check of what it made."""


@dataclasses.dataclass
class Sample:
    seconds: float = 0
    sync_seconds: float = 0
    cpu: float = 0
    peak: int = 0
    read: int = 0
    written: int = 0
    read_by_calls: int = 0
    out: str = ""

    @property
    def synced(self):
        return self.seconds + self.sync_seconds


def measure(command, disks, servers=()):
    """`servers`: processes that work for it, an engine: their times and memory count, too."""
    before = [disk.traffic() for disk in disks]
    cpu_before = sum(_cpu_of(server) for server in servers)
    for server in servers:
        _write("/proc/%d/clear_refs" % server, "5")  # its high-water mark starts anew
    sample = _run(command)
    for disk in disks:
        sample.sync_seconds += _run(["sync", "-f", disk.path]).seconds
    sample.cpu += sum(_cpu_of(server) for server in servers) - cpu_before
    sample.peak += sum(_high_water(server) for server in servers)
    for disk, (read, written) in zip(disks, before):
        now = disk.traffic()
        sample.read += now[0] - read
        sample.written += now[1] - written
    return sample


def _run(command):
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        start = time.monotonic()
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=err)
        ended = os.pidfd_open(process.pid)
        peak = 0
        alone = os.path.basename(command[0]) == "drover"
        while not select.select([ended], [], [], SAMPLE_SECONDS)[0]:
            counted = [process.pid] if alone else _tree(process.pid)
            peak = max(peak, sum(_high_water(pid) for pid in counted))
        seconds = time.monotonic() - start
        os.close(ended)
        # A process that has ended and was not waited for still tells what it and its children have read.
        read_by_calls = _read_by_calls(process.pid)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            raise Failed("%s: exit code %d: %s" % (" ".join(command), process.returncode, _tail(err)))
        out.seek(0)
        text = out.read().decode("utf-8", "replace")
    return Sample(
        seconds,
        cpu=usage.ru_utime + usage.ru_stime,
        peak=peak,
        read_by_calls=read_by_calls,
        out=text,
    )


def count_calls(command):
    """System calls of the command and all that it starts, or None where nothing here can count them."""
    with tempfile.NamedTemporaryFile("r", prefix="drover-bench-") as counts:
        for tool, read in (
            (["perf", "stat", "-e", "raw_syscalls:sys_enter", "-x,", "-o", counts.name], _of_perf),
            (["strace", "-c", "-f", "-qq", "-o", counts.name], _of_strace),
        ):
            if not _runs([*tool, "true"]):
                continue
            _run([*tool, *command])
            with open(counts.name) as file:
                return read(file.read().splitlines())
    return None


def _of_perf(lines):
    return int([line for line in lines if "raw_syscalls" in line][0].split(",")[0])


def _of_strace(lines):
    return int([line for line in lines if line.endswith(" total")][0].split()[3])


def _runs(command):
    try:
        return subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0
    except FileNotFoundError:
        return False


def _tree(pid):
    yield pid
    try:
        for thread in os.listdir("/proc/%d/task" % pid):
            for child in _read("/proc/%d/task/%s/children" % (pid, thread)).split():
                yield from _tree(int(child))
    except OSError:
        pass  # it has ended


def _high_water(pid):
    try:
        lines = _read("/proc/%d/status" % pid).splitlines()
    except OSError:
        return 0
    facts = dict(line.split(":", 1) for line in lines if ":" in line)
    return int(facts.get("VmHWM", "0 kB").split()[0]) * 1024


def _cpu_of(pid):
    fields = _read("/proc/%d/stat" % pid).rsplit(")", 1)[1].split()
    return sum(int(field) for field in fields[11:15]) / CLOCK


def _read_by_calls(pid):
    for line in _read("/proc/%d/io" % pid).splitlines():
        if line.startswith("rchar:"):
            return int(line.split()[1])
    return 0


def _tail(file):
    file.seek(0)
    return file.read().decode("utf-8", "replace").strip()[-600:]


def _read(path):
    with open(path) as file:
        return file.read()


def _write(path, text):
    with open(path, "w") as file:
        file.write(text)
