"""docs/EVIDENCE.md: what the tortures did and found, one section for each kind of fault.

Job: put the report of a run into its section and leave the other sections as they are, so that one
kind can be run without the others. Pure, but for `record`.
Rules: a run that did not come to its end says so, whatever it counted. Each section names the
command that makes it again; the numbers are the run's own.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, NamedTuple


class Kind(NamedTuple):
    title: str
    what: str
    only: str  # for `make torture ARGS="-k …"`


LOAD = "Chats and canvases replayed by concurrent clients, readers over SSE, everything judged"
LIFE = (
    "A scripted life of a store (appends, batches, rotation, checkpoint, close, delete, recovery)"
)

KINDS: dict[str, Kind] = {
    "sigkill": Kind("SIGKILL", f"{LOAD}; the server is killed again and again.", "killed_again"),
    "kinds": Kind(
        "SIGKILL, every kind of store",
        "Workers write 1, 2, 3 … to places of their own in every kind; the server is killed again "
        "and again, and each place holds the last number acknowledged or the one under way.",
        "again_loses_nothing_of_any_kind",
    ),
    "kinds-power-ext4": Kind(
        "Power cuts on ext4, every kind of store",
        "The same workers; the file system is shut down without its journal's end, and mounted "
        "again.",
        "cuts_of_power_lose_nothing_of_any_kind and ext4",
    ),
    "kinds-power-xfs": Kind(
        "Power cuts on xfs, every kind of store",
        "The same on xfs.",
        "cuts_of_power_lose_nothing_of_any_kind and xfs",
    ),
    "spenders": Kind(
        "SIGKILL under 64 spenders of one ledger",
        "They reserve, commit, record and try again with the same ids, against limits in every "
        "window at three levels; the ledger's file is added up line by line by code of its own.",
        "never_overspent",
    ),
    "sigstop": Kind("SIGSTOP", f"{LOAD}; the server stands still, and goes on.", "stands_still"),
    "sigterm": Kind("SIGTERM", f"{LOAD}; the server is asked to stop.", "graceful_stop"),
    "power-ext4": Kind(
        "Power cuts on ext4",
        f"{LOAD}; the file system is shut down without its journal's end, and mounted again.",
        "power_is_cut and ext4",
    ),
    "power-xfs": Kind("Power cuts on xfs", "The same on xfs.", "power_is_cut and xfs"),
    "disk-full": Kind(
        "A full disk",
        "A server on a tmpfs that is filled and given room by turns: 507, reads go on.",
        "test_disk_full",
    ),
    "eio": Kind(
        "EIO under a server",
        "One durable write or sync of a running server fails; it opens its store anew.",
        "test_eio",
    ),
    "calls-SIGKILL": Kind(
        "A kill at every call", f"{LIFE}, killed at the n-th call.", "crash_at_any_call"
    ),
    "calls-EIO": Kind(
        "EIO at every call", f"{LIFE}; the n-th call fails once.", "error_of_any_call and EIO"
    ),
    "calls-ENOSPC": Kind("ENOSPC at every call", "The same.", "error_of_any_call and ENOSPC"),
    "calls-EIO+": Kind(
        "Every sync fails from some moment on",
        f"{LIFE}; from the n-th sync on none succeeds.",
        "fails_every_sync",
    ),
    "calls-power-ext4": Kind(
        "A power cut at every call, ext4",
        f"{LIFE}, killed at the n-th call, and what was not synced is lost.",
        "power_cut_at_any_call and ext4",
    ),
    "calls-power-xfs": Kind(
        "A power cut at every call, xfs", "The same on xfs.", "power_cut_at_any_call and xfs"
    ),
    "calls-short": Kind(
        "Short writes", f"{LIFE}; the n-th write does half its work.", "half_way and short"
    ),
    "calls-torn": Kind(
        "Torn writes", f"{LIFE}, killed in the middle of the n-th write.", "half_way and torn"
    ),
    "calls-full": Kind(
        "A disk full at every page", f"{LIFE} on a tmpfs of n KiB.", "full_at_any_page"
    ),
    "bits-log": Kind("Every bit of a log", "100 events in 100 records.", "bit_of_a_log"),
    "cuts-log": Kind("Every length of a log", "The same log, cut.", "cut_of_a_log"),
    "bits-events": Kind("Every bit of events.jsonl", "100 events.", "bit_of_the_events"),
    "bits-index": Kind("Every bit of events.idx", "Of those events.", "bit_of_an_index"),
    "cuts-events.jsonl": Kind("Every length of events.jsonl", "Cut.", "cut_of_a_stream"),
    "cuts-events.idx": Kind("Every length of events.idx", "Cut.", "cut_of_a_stream"),
    "bits-sample": Kind(
        "Damage and a whole root", "Flips in the log; the root is opened.", "sample_of_them"
    ),
}

HEAD = """# Evidence

What the tortures did to eventspine, and what they found. Written by `make torture`: each section by
the run that its command names, the others left as they were. [TESTING](TESTING.md) says how they
judge; `make test` does the same in small.

What these runs cannot show: a disk that says it has synced and has not, a sector that is written
half (the shutdown of a file system drops what was not synced, and tears nothing; short and torn
writes below end a process, not a drive), and anything on a file system other than those named.
"""


def updated(text: str, report: dict[str, Any], command: str) -> str:
    """The page with the section of this report replaced; the others as they were."""
    sections = _sections(text)
    sections[report["name"]] = _section(report, command)
    order = [*KINDS, *sorted(set(sections) - set(KINDS))]
    return "\n".join([HEAD, *(sections[name] for name in order if name in sections)])


def _sections(text: str) -> dict[str, str]:
    pieces = re.split(r"(?m)^(?=<!-- section )", text)[1:]
    return {piece.split()[2]: piece.rstrip("\n") + "\n" for piece in pieces}


def _section(report: dict[str, Any], command: str) -> str:
    name = report["name"]
    kind = KINDS.get(name, Kind(name, "", name))
    rows = [
        ("outcome", _outcome(report)),
        ("faults", ", ".join(f"{count:,} {what}" for what, count in report["faults"].items())),
        ("violations", f"{report['violations']:,}"),
        *((what, f"{value:,}") for what, value in report["figures"].items()),
        *(
            (spread, ", ".join(f"{key} {value}" for key, value in report[spread].items()))
            for spread in ("ready_s", "stop_s", "cycle_s")
            if report[spread]["count"]
        ),
        ("seed", f"`EVENTSPINE_TORTURE_SEED={report['seed']}`"),
        ("command", f"`{command} ARGS=\"-k '{kind.only}'\"`"),
        ("data", report["data"]),
        ("machine", f"{report['machine']}; {report['version']}"),
        ("when", report["when"]),
    ]
    table = [f"| {what} | {value} |" for what, value in rows if value]
    head = [f"<!-- section {name} -->", f"## {kind.title}", "", kind.what, ""]
    return "\n".join([*head, "| | |", "|---|---|", *table, ""])


def _outcome(report: dict[str, Any]) -> str:
    if report["finished"] and not report["violations"]:
        return "every promise kept"
    return "**not kept, or not finished**"


def record(path: Path, report: dict[str, Any], command: str) -> None:
    """Put a report into the page at `path`."""
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    path.write_text(updated(text, report, command), encoding="utf-8")
