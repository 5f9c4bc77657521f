"""A folder of recordings: which streams it holds, and how each file is read.

`chat/*.txt` are IRC days, `canvas/*.json.gz` and `canvas/*.json` editing traces, `*.ndjson` in the
folder or one below it events, one a line: `{"event_type", "payload"}` with an optional `event_id`
and `ts`, or any other object, which becomes the payload of a `record`.
"""

from __future__ import annotations

import gzip
import zlib
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import orjson

from eventspine.client.replay.canvas import parse_canvas
from eventspine.client.replay.chat import parse_chat
from eventspine.client.replay.recording import (
    Kind,
    RecordedEvent,
    Recording,
    RecordingInvalid,
    Source,
)

_PATTERNS: tuple[tuple[Kind, str], ...] = (
    ("chat", "chat/*.txt"),
    ("canvas", "canvas/*.json.gz"),
    ("canvas", "canvas/*.json"),
    ("ndjson", "*.ndjson"),
    ("ndjson", "*/*.ndjson"),
)
_CANVAS_BYTES_MAX = 1 << 30  # unpacked: a gzip bomb is refused instead of filling the memory


def find_sources(folder: Path, streams: str = "*") -> list[Source]:
    """The files of a folder whose stream name matches the glob `streams`, sorted by name.

    Raises:
        RecordingInvalid: no such folder, nothing in it, or two files with one name.
    """
    if not folder.is_dir():
        raise RecordingInvalid(f"{folder} is not a folder", path=str(folder))
    found = [
        Source(f"{kind}-{_stem(path)}", kind, path)
        for kind, pattern in _PATTERNS
        for path in folder.glob(pattern)
        if path.is_file()
    ]
    names = Counter(source.name for source in found)
    for name, times in names.items():
        if times > 1:
            raise RecordingInvalid(f"{folder} has {times} files for the stream {name}")
    chosen = [source for source in found if fnmatchcase(source.name, streams)]
    if not chosen:
        raise RecordingInvalid(
            f"{folder} holds no chat/*.txt, canvas/*.json.gz or *.ndjson that matches {streams!r}"
        )
    return sorted(chosen, key=lambda source: source.name)


def _stem(path: Path) -> str:
    name = path.name
    for ending in (".json.gz", ".json", ".ndjson", ".txt"):
        name = name.removesuffix(ending)
    return name


def read_source(source: Source, prefix: str = "") -> Recording:
    """The recording in a file, as stream `{prefix}{name}`. Raises RecordingInvalid."""
    stream_id = prefix + source.name
    try:
        if source.kind == "chat":
            text = source.path.read_text(encoding="utf-8", errors="replace")
            return Recording(stream_id, "chat", parse_chat(text))
        if source.kind == "canvas":
            events, end = parse_canvas(_unpacked(source.path))
            return Recording(stream_id, "canvas", events, end)
        return Recording(stream_id, "ndjson", list(_parse_ndjson(source.path.read_bytes())))
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise RecordingInvalid(f"{source.path}: {error}", path=str(source.path)) from error


def _unpacked(path: Path) -> bytes:
    if path.suffix != ".gz":
        return path.read_bytes()
    with gzip.open(path) as file:
        unpacked = file.read(_CANVAS_BYTES_MAX + 1)
    if len(unpacked) > _CANVAS_BYTES_MAX:
        raise ValueError(f"unpacks to more than {_CANVAS_BYTES_MAX} bytes")
    return unpacked


def _parse_ndjson(body: bytes) -> Iterator[RecordedEvent]:
    first: datetime | None = None
    at_s = 0.0
    for number, line in enumerate(body.split(b"\n"), 1):
        if not line.strip():
            continue
        event = _ndjson_event(line, number)
        if event["ts"] is not None:
            first = first or event["ts"]
            at_s = max(at_s, (event["ts"] - first).total_seconds())
        payload = orjson.dumps(event["payload"])
        yield RecordedEvent(event["event_type"], payload, at_s, event["event_id"])


def _ndjson_event(line: bytes, number: int) -> dict[str, Any]:
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise ValueError(f"line {number}: {error}") from None
    if not isinstance(value, dict):
        raise ValueError(f"line {number}: not an object")
    if not isinstance(value.get("event_type"), str) or not isinstance(value.get("payload"), dict):
        return {"event_type": "record", "payload": value, "event_id": None, "ts": None}
    try:
        stated = value.get("ts")
        ts = datetime.fromisoformat(stated) if isinstance(stated, str) else None
    except ValueError:
        ts = None
    event_id = value.get("event_id")
    return {
        "event_type": value["event_type"],
        "payload": value["payload"],
        "event_id": event_id if isinstance(event_id, str) else None,
        "ts": ts.astimezone() if ts is not None else None,
    }
