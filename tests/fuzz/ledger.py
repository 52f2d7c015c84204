"""How many executions each target has had since its last find: a table in a file, kept over many runs and machines."""
import hashlib
import os
import threading

COLUMNS = ("target", "since_find", "of_them_asan", "finds", "promises")


class Row:
    def __init__(self, name, since_find=0, of_them_asan=0, finds=0, promises=""):
        self.name, self.promises = name, promises
        self.since_find, self.of_them_asan, self.finds = int(since_find), int(of_them_asan), int(finds)

    def begin_anew(self):
        self.since_find, self.of_them_asan = 0, 0

    def fields(self):
        return (self.name, self.since_find, self.of_them_asan, self.finds, self.promises)


class Ledger:
    """A target's count begins anew with a find, and where the promises that were tried are no longer those that are
    made: when its own source has changed. A change of drover's code does not touch it."""

    def __init__(self, path, targets_dir, names):
        self.path, self.rows, self.lock = path, {}, threading.Lock()
        if os.path.exists(path):
            with open(path, encoding="ascii") as file:
                for line in file.read().splitlines()[1:]:
                    row = Row(*line.split("\t"))
                    self.rows[row.name] = row
        for name in names:
            row = self.rows.setdefault(name, Row(name))
            with open(os.path.join(targets_dir, name + ".cpp"), "rb") as source:
                promises = hashlib.sha256(source.read()).hexdigest()[:16]
            if row.promises != promises:
                row.begin_anew()
                row.promises = promises

    def add(self, name, executions, asan):
        with self.lock:
            row = self.rows[name]
            row.since_find += executions
            row.of_them_asan += executions if asan else 0
            self._write()

    def begin_anew(self, name, finds):
        with self.lock:
            self.rows[name].begin_anew()
            self.rows[name].finds += finds
            self._write()

    def _write(self):
        """Whole, or not at all."""
        lines = ["\t".join(COLUMNS)]
        lines += ["\t".join(map(str, row.fields())) for _, row in sorted(self.rows.items())]
        with open(self.path + ".new", "w", encoding="ascii") as file:
            file.write("\n".join(lines) + "\n")
            file.flush()
            os.fsync(file.fileno())
        os.rename(self.path + ".new", self.path)

    def table(self, names):
        lines = ["%-24s %14s %12s %6s" % ("target", "since its find", "under ASan", "finds")]
        for row in (self.rows[name] for name in names):
            lines.append("%-24s %14d %12d %6d" % (row.name, row.since_find, row.of_them_asan, row.finds))
        return "\n".join(lines)
