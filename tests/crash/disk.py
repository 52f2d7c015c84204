"""The image file that a trial works on: taken from the prepared one, mounted, copied as a power cut leaves it."""
import glob
import os
import signal
import subprocess
import time

import machine

SIZES = {"ext4": "192M", "btrfs": "512M"}
# As little as possible goes to the disk unasked, so that what was not synced is lost: no commits by the clock, and no
# writing out of a file because another is renamed over it.
OPTIONS = {"ext4": "loop,noauto_da_alloc,commit=6000", "btrfs": "loop,commit=6000"}
# An image that is copied while the kernel writes to it may be of no single moment; then it is copied again.
COPIES = 3


class Torn(Exception):
    pass


class Disk:
    def __init__(self, place, image, filesystem):
        self.place, self.image, self.filesystem = place, image, filesystem
        self.mounted = False

    def make(self):
        machine.make_filesystem(self.image, self.filesystem, SIZES[self.filesystem])
        self.mount()

    def take(self, source):
        self.release()
        self._copy(source, self.image)
        self.mount()

    def mount(self, image=None):
        machine.run(
            "mount",
            "-t",
            self.filesystem,
            "-o",
            OPTIONS[self.filesystem],
            image or self.image,
            self.place.disk,
        )
        self.mounted = True

    def unmount(self):
        if not self.mounted:
            return
        for _ in range(600):
            done = subprocess.run(["umount", "-R", self.place.disk], stderr=subprocess.PIPE)
            if done.returncode == 0:
                break
            time.sleep(0.05)  # a killed process's last mounts and files go soon after it; no event tells
        else:
            raise RuntimeError("cannot unmount: %s; %s" % (done.stderr.decode().strip(), self._users()))
        self.mounted = False

    def _users(self):
        """Processes of this worker's that have something open on the disk."""
        found = set()
        for link in glob.glob("/proc/[0-9]*/cwd") + glob.glob("/proc/[0-9]*/fd/*"):
            try:
                if os.readlink(link).startswith(self.place.disk):
                    pid = link.split("/")[2]
                    with open("/proc/%s/cmdline" % pid) as file:
                        found.add("%s: %s" % (pid, file.read().replace("\0", " ")))
            except OSError:
                continue
        return ", ".join(sorted(found)) or "nobody has it open"

    def release(self):
        self.unmount()
        if os.path.exists(self.image):
            os.unlink(self.image)

    def keep_copy(self, name):
        """Of the disk as it is; it is mounted again afterwards."""
        self.unmount()
        copy = self.image + "." + name
        self._copy(self.image, copy)
        self.mount()
        return copy

    def put_back(self, copy):
        self.release()
        os.rename(copy, self.image)
        self.mount()

    def cut_power(self, process):
        """The process is stopped in the middle: the disk becomes what it was without what only memory held."""
        copies = [self.image + ".cut%d" % number for number in range(COPIES)]
        for copy in copies:
            machine.run("cp", "--sparse=always", self.image, copy)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        self.release()
        for copy in copies:
            if self.mounted:
                os.unlink(copy)
                continue
            os.rename(copy, self.image)
            try:
                self.mount()
            except RuntimeError as error:
                print("torn copy: %s" % error, flush=True)
                os.unlink(self.image)
        if not self.mounted:
            raise Torn("each of %d copies was torn" % COPIES)

    def _copy(self, source, target):
        machine.copy_filesystem(source, target, self.filesystem)
