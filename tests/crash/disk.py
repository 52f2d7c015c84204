"""The image file, or two, that a trial works on: taken from the prepared one, mounted, copied as a power cut leaves it."""
import glob
import os
import signal
import subprocess
import time

import machine

SIZES = {"ext4": "192M", "xfs": "320M", "btrfs": "512M"}
# As little as possible goes to the disk unasked, so that what was not synced is lost: no commits by the clock, and no
# writing out of a file because another is renamed over it.
OPTIONS = {"ext4": "loop,noauto_da_alloc,commit=6000", "xfs": "loop,nouuid", "btrfs": "loop,commit=6000"}
SECOND = "new"  # where the second one is mounted, below the first
# An image that is copied while the kernel writes to it may be of no single moment; then it is copied again.
COPIES = 3


class Torn(Exception):
    pass


class Disk:
    """`second`: a filesystem of its own is mounted at SECOND; its image's name ends in ".second"."""

    def __init__(self, place, image, filesystem, second=False):
        self.place, self.image, self.filesystem, self.second = place, image, filesystem, second

    def _images(self, image):
        return [image, image + ".second"] if self.second else [image]

    def make(self):
        for image in self._images(self.image):
            machine.make_filesystem(image, self.filesystem, SIZES[self.filesystem])
        if self.second:
            self._mount(self.image, self.place.disk)
            os.mkdir(os.path.join(self.place.disk, SECOND))
            machine.unmount(self.place)
        self.mount()

    def take(self, source):
        self.release()
        self._copy(source, self.image)
        self.mount()

    def mount(self):
        for image, folder in zip(self._images(self.image), ("", SECOND)):
            self._mount(image, os.path.join(self.place.disk, folder))

    def _mount(self, image, folder):
        machine.run("mount", "-t", self.filesystem, "-o", OPTIONS[self.filesystem], image, folder)

    def rename_to(self, image):
        """The unmounted disk becomes another one."""
        _rename_all(self._images(self.image), self._images(image))

    def unmount(self):
        if not os.path.ismount(self.place.disk):
            return
        for _ in range(600):
            done = subprocess.run(["umount", "-R", self.place.disk], stderr=subprocess.PIPE)
            if done.returncode == 0:
                break
            time.sleep(0.05)  # a killed process's last mounts and files go soon after it; no event tells
        else:
            raise RuntimeError("cannot unmount: %s; %s" % (done.stderr.decode().strip(), self._users()))

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
        _unlink_all(self._images(self.image))

    def keep_copy(self, name):
        """Of the disk as it is; it is mounted again afterwards."""
        self.unmount()
        copy = self.image + "." + name
        self._copy(self.image, copy)
        self.mount()
        return copy

    def put_back(self, copy):
        self.release()
        _rename_all(self._images(copy), self._images(self.image))
        self.mount()

    def cut_power(self, process):
        """The process is stopped in the middle: the disk becomes what it was without what only memory held."""
        copies = [self.image + ".cut%d" % number for number in range(COPIES)]
        for copy in copies:
            for source, target in zip(self._images(self.image), self._images(copy)):
                machine.run("cp", "--sparse=always", source, target)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        self.release()
        whole = False
        for copy in copies:
            if whole:
                _unlink_all(self._images(copy))
                continue
            _rename_all(self._images(copy), self._images(self.image))
            try:
                self.mount()
                whole = True
            except RuntimeError as error:
                print("torn copy: %s" % error, flush=True)
                self.release()
        if not whole:
            raise Torn("each of %d copies was torn" % COPIES)

    def _copy(self, source, target):
        for one, other in zip(self._images(source), self._images(target)):
            machine.copy_filesystem(one, other, self.filesystem)


def _rename_all(sources, targets):
    for source, target in zip(sources, targets):
        os.rename(source, target)


def _unlink_all(images):
    for image in images:
        if os.path.exists(image):
            os.unlink(image)
