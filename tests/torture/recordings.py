"""Chats and canvases to send: the real ones where there are some, else made of a seed.

The folder is $EVENTSPINE_DATA, then examples/data of the repository. Without either, streams of
the same shapes are made: the same event types and payload fields, lengths and bursts alike, and
canvases whose every patch is valid and whose end is known.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import orjson

from eventspine.client.replay.canvas import Canvas, text_of
from eventspine.client.replay.dataset import find_sources, read_source
from eventspine.client.replay.recording import RecordedEvent, Recording, Source

WORDS = [
    *("ubuntu", "how", "do", "I", "mount", "an", "ntfs", "drive", "is", "there", "a", "way", "to"),
    *("get", "sound", "working", "thanks", "ok", "sudo", "apt-get", "install", "naïve", "café"),
    *("你好", "😀", "\u2028", '"quoted"', "back\\slash", "..."),
]


class Library:
    """An endless supply of recordings, the same for the same seed and folder."""

    def __init__(self, seed: int) -> None:
        self._rng = random.Random(f"library {seed}")
        folder = data_folder()
        self._sources = find_sources(folder) if folder else []
        self.name = "recorded" if folder else "generated"
        self._count = 0

    def take(self, events_max: int) -> Recording:
        """The next recording, cut to a random piece of at most `events_max` events."""
        self._count += 1
        rng = random.Random(self._rng.random())
        count = rng.randrange(events_max // 4, events_max + 1)
        if not self._sources:
            make = make_canvas if rng.random() < 0.4 else make_chat
            return make(f"{self._count}-{make.__name__[5:]}", count, rng)
        source = rng.choice(self._sources)
        return cut(_read(source), f"{self._count}-{source.name}", count)

    def canvas(self, events: int) -> Recording:
        """A canvas for the whole run."""
        for source in self._sources:
            if source.kind == "canvas":
                return cut(_read(source), f"long-{source.name}", events)
        return make_canvas("long-canvas", events, self._rng)


def data_folder() -> Path | None:
    """Where recordings are, if anywhere."""
    named = os.environ.get("EVENTSPINE_DATA")
    here = Path(__file__).parents[2] / "examples" / "data"
    folder = Path(named) if named else here
    return folder if folder.is_dir() else None


@lru_cache(maxsize=64)
def _read(source: Source) -> Recording:
    return read_source(source)


def cut(recording: Recording, stream_id: str, count: int) -> Recording:
    """The first events of a recording as a stream of its own; a canvas knows its end."""
    events = recording.events[:count]
    end = text_of(events) if recording.kind == "canvas" else None
    return Recording(stream_id, recording.kind, events, end)


def make_chat(stream_id: str, count: int, rng: random.Random) -> Recording:
    nicks = [f"nick{rng.randrange(1000)}" for _ in range(rng.randrange(2, 40))]
    return Recording(stream_id, "chat", list(_lines(nicks, count, rng)))


def _lines(nicks: list[str], count: int, rng: random.Random) -> Iterator[RecordedEvent]:
    for number in range(1, count + 1):
        minute = f"{number // 120 % 24:02d}:{number // 2 % 60:02d}"
        text = " ".join(rng.choices(WORDS, k=min(200, int(rng.paretovariate(1.1) * 3))))
        kind = rng.choices(["message", "action", "nick", "system"], [80, 3, 5, 12])[0]
        nick = None if kind == "system" else rng.choice(nicks)
        payload = {"nick": nick, "text": text, "at": minute, "line": number}
        yield RecordedEvent(f"chat.{kind}", orjson.dumps(payload), number * 0.5)


def make_canvas(stream_id: str, count: int, rng: random.Random) -> Recording:
    """Somebody types, in bursts, deletes a little, and jumps."""
    canvas = Canvas()
    events, length, at = [], 0, 0
    for number in range(count):
        if rng.random() < 0.03:
            at = rng.randrange(length + 1)
        deleted = min(rng.randrange(1, 9), length - at) if rng.random() < 0.1 else 0
        typed = rng.choice(WORDS) + " " if rng.random() < 0.1 else rng.choice("etaoin shrdlu\n")
        patches = [[at, deleted, "" if deleted else typed]]
        canvas.apply(patches)
        length += len(patches[0][2]) - deleted  # type: ignore[arg-type]
        at = min(length, at + (0 if deleted else len(typed)))
        stamp = (
            f"2021-04-19T{number // 3600 % 24:02d}:{number // 60 % 60:02d}:{number % 60:02d}.000Z"
        )
        payload = orjson.dumps({"patches": patches, "at": stamp})
        events.append(RecordedEvent("canvas.patch", payload, number * 0.1))
    return Recording(stream_id, "canvas", events, canvas.text)
