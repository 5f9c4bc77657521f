from __future__ import annotations

import gzip
from pathlib import Path

import orjson
import pytest

from eventspine.client.replay.dataset import find_sources, read_source
from eventspine.client.replay.pacing import Pace
from eventspine.client.replay.recording import RecordedEvent, Recording, RecordingInvalid
from eventspine.client.replay.sender import encode_batch
from eventspine.client.replay.verify import Comparison
from eventspine.contracts.errors import InvalidRequest
from eventspine.contracts.event import StreamEvent
from eventspine.contracts.wire import parse_body

TRACE = {"startContent": "", "endContent": "ab", "txns": [{"patches": [[0, 0, "ab"]]}]}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("chat", "canvas", "more"):
        (tmp_path / name).mkdir()
    (tmp_path / "chat" / "day.txt").write_text("[09:00] <a> hi\n[09:01] <b> ho\n")
    (tmp_path / "canvas" / "doc.json.gz").write_bytes(gzip.compress(orjson.dumps(TRACE)))
    (tmp_path / "more" / "own.ndjson").write_text(
        '{"event_type":"t","payload":{"n":1},"event_id":"e1","ts":"2026-01-01T00:00:00Z"}\n'
        '\n{"event_type":"t","payload":{"n":2},"ts":"2026-01-01T00:00:05Z"}\n{"just":"data"}\n'
    )
    (tmp_path / "README.md").write_text("not a recording")
    return tmp_path


def test_a_folder_is_its_recordings(folder: Path) -> None:
    names = [source.name for source in find_sources(folder)]
    assert names == ["canvas-doc", "chat-day", "ndjson-own"]
    assert [source.name for source in find_sources(folder, "chat-*")] == ["chat-day"]


def test_ndjson_keeps_ids_times_and_bare_objects(folder: Path) -> None:
    (source,) = find_sources(folder, "ndjson-*")
    recording = read_source(source, "p-")
    assert recording.stream_id == "p-ndjson-own"
    assert [event.event_type for event in recording.events] == ["t", "t", "record"]
    assert recording.event_id(0) == "e1"
    assert [event.at_s for event in recording.events] == [0.0, 5.0, 5.0]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("canvas/x.json.gz", b"no gzip"),
        ("canvas/x.json.gz", gzip.compress(orjson.dumps(TRACE), mtime=0)[:-9]),
        ("canvas/x.json", b"{}"),
        ("x.ndjson", b'{"a":1}\nnot json\n'),
        ("x.ndjson", b"[1]\n"),
    ],
)
def test_a_bad_file_is_named(folder: Path, name: str, content: bytes) -> None:
    (folder / name).write_bytes(content)
    (source,) = find_sources(folder, "*-x")
    with pytest.raises(RecordingInvalid, match="x\\."):
        read_source(source)


def test_a_folder_without_recordings_is_told(tmp_path: Path) -> None:
    with pytest.raises(RecordingInvalid, match="holds no"):
        find_sources(tmp_path)
    with pytest.raises(RecordingInvalid, match="not a folder"):
        find_sources(tmp_path / "absent")


def test_ids_depend_on_stream_and_place_only(folder: Path) -> None:
    source = find_sources(folder)[1]
    one, again, other = read_source(source), read_source(source), read_source(source, "b-")
    assert [one.event_id(n) for n in range(2)] == [again.event_id(n) for n in range(2)]
    assert one.event_id(0) != other.event_id(0)
    assert one.first(1).event_id(0) == one.event_id(0)


def test_a_batch_is_what_the_server_parses(folder: Path) -> None:
    recording = read_source(find_sources(folder)[1])
    ids = [recording.event_id(n) for n in range(2)]
    drafts = parse_body(encode_batch(recording, 0, ids), ndjson=True)
    assert [draft.event_id for draft in drafts] == ids
    assert [bytes(draft.payload) for draft in drafts] == [e.payload for e in recording.events]


# --- pace ------------------------------------------------------------------------------------


def events_at(*times: float) -> list[RecordedEvent]:
    return [RecordedEvent("t", b"{}", at_s) for at_s in times]


@pytest.mark.parametrize(
    ("text", "factor"), [("max", None), ("realtime", 1.0), ("25x", 25.0), ("0.5", 0.5)]
)
def test_a_speed_is_understood(text: str, factor: float | None) -> None:
    assert Pace.parse(text).factor == factor


@pytest.mark.parametrize("text", ["", "x", "0x", "-1x", "nan", "inf", "fast"])
def test_another_speed_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest):
        Pace.parse(text)


def test_a_batch_holds_what_is_due_within_the_limits() -> None:
    events = events_at(0, 1, 2, 10)
    assert Pace(1.0).batch_end(events, 0, 2.5, 100, 10_000) == 3
    assert Pace(1.0).batch_end(events, 3, 2.5, 100, 10_000) == 4
    assert Pace(10.0).batch_end(events, 0, 1.0, 100, 10_000) == 4
    assert Pace().batch_end(events, 0, 0.0, 2, 10_000) == 2
    assert Pace().batch_end(events, 0, 0.0, 100, 500) == 2


# --- proof -----------------------------------------------------------------------------------


def stored(recording: Recording, index: int, **changed: object) -> bytes:
    event = recording.events[index]
    values: dict[str, object] = {
        "sequence": index + 1,
        "cursor": f"{1:016d}_{index + 1:016d}",
        "event_id": recording.event_id(index),
        "ts": "2026-01-01T00:00:00Z",
        "event_type": event.event_type,
        "stream_id": recording.stream_id,
        "routing": {"tenant_id": "t", "env": "e", "mode": "lab"},
        "metadata": {},
        "payload": orjson.loads(event.payload),
    }
    line = orjson.dumps(values | changed)
    StreamEvent.model_validate_json(line)
    return line


def compared(recording: Recording, lines: list[bytes]) -> str | None:
    comparison = Comparison(recording)
    for line in lines:
        if difference := comparison.take(line):
            return difference
    return comparison.finish()


def test_the_same_stream_is_proved(folder: Path) -> None:
    for source in find_sources(folder):
        recording = read_source(source)
        lines = [stored(recording, n) for n in range(len(recording.events))]
        assert compared(recording, lines) is None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"sequence": 3}, "event 2: its sequence is 3"),
        ({"event_id": "other"}, "event 2: its id is other"),
        ({"event_type": "t"}, "event 2: t instead of chat.message"),
        ({"payload": {"nick": "b", "text": "hO"}}, "event 2: at byte"),
    ],
)
def test_a_difference_is_told_with_its_place(
    folder: Path, change: dict[str, object], words: str
) -> None:
    recording = read_source(find_sources(folder)[1])
    difference = compared(recording, [stored(recording, 0), stored(recording, 1, **change)])
    assert difference is not None
    assert words in difference


def test_a_missing_and_a_surplus_event_are_told(folder: Path) -> None:
    recording = read_source(find_sources(folder)[1])
    lines = [stored(recording, 0), stored(recording, 1)]
    assert compared(recording, lines[:1]) == "1 events instead of 2"
    assert compared(recording.first(1), lines) == "event 2: the recording has 1 events"


def test_a_canvas_that_is_not_end_content_is_told(folder: Path) -> None:
    recording = read_source(find_sources(folder)[0])
    wrong = Recording(recording.stream_id, "canvas", recording.events, "aX")
    difference = compared(wrong, [stored(wrong, 0)])
    assert difference is not None
    assert "endContent: at byte 1" in difference
