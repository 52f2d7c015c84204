"""Shows results: lines on the screen, JSON, a table in Markdown."""
import hashlib
import json
import os
import platform
import subprocess

from rows import GOAL_MEMORY

COLUMNS = (
    "row",
    "contestant",
    "time",
    "with sync",
    "CPU",
    "peak",
    "read",
    "written",
    "read by calls",
    "calls",
    "given",
)


def machine_facts():
    def first(path, start):
        with open(path) as file:
            return next((line.split(":", 1)[1].strip() for line in file if line.startswith(start)), "unknown")

    def version(*command):
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        return done.stdout.decode("utf-8", "replace").splitlines()[0]

    return {
        "cpu": first("/proc/cpuinfo", "model name"),
        "cpus": os.cpu_count(),
        "sha_ni": " sha_ni" in first("/proc/cpuinfo", "flags"),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "kernel": platform.release(),
        "load_at_start": os.getloadavg()[0],
        "versions": {
            "engine": version("dockerd", "--version"),
            "cp": version("cp", "--version"),
            "rsync": version("rsync", "--version"),
            "openssl": version("openssl", "version"),
        },
    }


def row_facts(result, size):
    """What there is to tell of a row, as it is in the JSON; tables are made from that, so that rows of an earlier run
    can stand in them."""
    row = result.row
    met = None if row.goal is None or result.number is None else result.number <= row.goal
    return {
        "name": row.name,
        "state": result.state,
        "why": result.why,
        "cache": "cold" if row.cold else "warm",
        "unit": row.unit,
        "number": result.number,
        "goal": row.goal,
        "goal_of_full_size": row.full_only_goal,
        "met": None if row.full_only_goal and size != "full" else met,
        "ratios": ratios(result),
        "contestants": numbers(result),
    }


def numbers(result):
    """What a row measured, by contestant."""
    table = {}
    for name, sample in result.medians.items():
        table[name] = {
            "given": result.given[name],
            "seconds": sample.seconds,
            "seconds_with_sync": sample.synced,
            "cpu_seconds": sample.cpu,
            "peak_bytes": sample.peak,
            "read_bytes": sample.read,
            "written_bytes": sample.written,
            "read_by_calls_bytes": sample.read_by_calls,
            "system_calls": result.calls.get(name),
            "rounds_seconds_with_sync": [one.synced for one in result.samples[name]],
        }
    return table


def ratios(result):
    """Of drover's time to each rival's: both with their syncs, and the rival without."""
    names = list(result.medians)
    if result.first_rival is None:
        return {}
    ours = result.medians[names[0]].synced
    return {
        name: {
            "ratio": ours / result.medians[name].synced,
            "ratio_rival_not_synced": ours / result.medians[name].seconds,
        }
        for name in names[1:]
    }


def verdict(row):
    if row["met"] is None:
        return "measured at the full size only" if row["goal_of_full_size"] else "-"
    return "met" if row["met"] else "not met"


def line(row):
    if row["state"] == "skipped":
        return "SKIP: %s: %s" % (row["name"], row["why"])
    if row["state"] == "failed":
        return "FAILED: %s: %s" % (row["name"], row["why"])
    goal = "" if row["goal"] is None else ", goal <= %g: %s" % (row["goal"], verdict(row))
    number = "" if row["number"] is None else "%s %s" % (row["unit"], short(row["number"]))
    return "%-56s %s%s" % (row["name"], number, goal)


def short(number):
    return "%.3f" % number if number < 10 else "%.1f" % number


def size_text(count):
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= factor:
            return "%.1f %s" % (count / factor, unit)
    return "%d B" % count


def details(row):
    """One line a contestant."""
    for name, facts in row["contestants"].items():
        calls = "" if facts["system_calls"] is None else ", %d calls" % facts["system_calls"]
        yield "   %-30s %8.3f s, %8.3f s with sync, CPU %7.3f s, peak %6.1f MiB, read %s, written %s%s" % (
            name,
            facts["seconds"],
            facts["seconds_with_sync"],
            facts["cpu_seconds"],
            facts["peak_bytes"] / (1 << 20),
            size_text(facts["read_bytes"]),
            size_text(facts["written_bytes"]),
            calls,
        )


def peak_of_drover(rows):
    peaks = [
        (facts["peak_bytes"], row["name"])
        for row in rows
        for name, facts in row["contestants"].items()
        if name.startswith("drover")
    ]
    return max(peaks) if peaks else None


def memory_line(rows):
    most = peak_of_drover(rows)
    if most is None:
        return "no run of drover"
    met = "met" if most[0] <= GOAL_MEMORY else "not met"
    return "largest peak of drover: %.1f MiB, in %s; goal <= 64: %s" % (most[0] / (1 << 20), most[1], met)


def conditions(options):
    """What rows must have in common to stand in one table."""
    with open(options.drover, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {
        "schema": 2,
        "drover_sha256": digest,
        "size": options.size,
        "rounds": options.rounds,
        "disk": options.disk or "loop devices on tmpfs",
    }


def write_json(path, facts, conditions, rows):
    most = peak_of_drover(rows)
    value = {**conditions, "machine": facts, "peak_of_drover_bytes": most and most[0], "rows": rows}
    with open(path + ".new", "w") as file:
        json.dump(value, file, indent=1)
        file.write("\n")
    os.rename(path + ".new", path)


def write_markdown(path, facts, conditions, rows):
    with open(path, "w") as file:
        file.write(
            "%s, %d CPUs (SHA-NI: %s), %.0f GB of memory, Linux %s, %s; size %s, %d rounds, on %s; load before: %.1f\n\n"
            % (
                facts["cpu"],
                facts["cpus"],
                "yes" if facts["sha_ni"] else "no",
                facts["memory_bytes"] / 1e9,
                facts["kernel"],
                facts["versions"]["engine"],
                conditions["size"],
                conditions["rounds"],
                conditions["disk"],
                facts["load_at_start"],
            )
        )
        file.write("| row | measured | goal | |\n| --- | --- | --- | --- |\n")
        for row in rows:
            if row["state"] != "ran":
                file.write(
                    "| %s | %s: %s | | |\n" % (row["name"], row["state"], row["why"].replace("|", "\\|"))
                )
                continue
            goal = "-" if row["goal"] is None else "≤ %g" % row["goal"]
            number = "-" if row["number"] is None else "%s: %s" % (row["unit"], short(row["number"]))
            file.write("| %s | %s | %s | %s |\n" % (row["name"], number, goal, verdict(row)))
        file.write("\n%s\n\n" % memory_line(rows))
        file.write("| %s |\n|%s\n" % (" | ".join(COLUMNS), " --- |" * len(COLUMNS)))
        for row in rows:
            for name, facts_of in row["contestants"].items():
                file.write("| %s |\n" % " | ".join(cells(row["name"], name, facts_of)))


def cells(row, name, facts):
    return (
        row,
        name.replace("|", "\\|"),
        "%.3f s" % facts["seconds"],
        "%.3f s" % facts["seconds_with_sync"],
        "%.3f s" % facts["cpu_seconds"],
        "%.1f MiB" % (facts["peak_bytes"] / (1 << 20)),
        size_text(facts["read_bytes"]),
        size_text(facts["written_bytes"]),
        size_text(facts["read_by_calls_bytes"]),
        "-" if facts["system_calls"] is None else str(facts["system_calls"]),
        facts["given"],
    )
