"""Reading a journal: from its lines to the state they add up to, in slices, and not twice.

Rules:
- The loop is held for one slice at a time, which is well below 10 ms for every kind; between two of
  them everybody else is served. What is not in the page cache is read on a thread, by the store.
- Who asks first waits `turn_wait_s_max` at most. What was read by then is kept, and the next one
  goes on from there: a journal too long for one wait is read in several.
Refused: decoding on a thread of its own. Decoding and applying need the interpreter, so the thread
would take it from the loop for 5 ms at a time, and bring nothing; reading and checksums, which do
not need it, are less than a tenth of the time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, NamedTuple, TypeVar

import msgspec
from anyio.lowlevel import checkpoint

from eventspine.actors.journal import Base, Beside
from eventspine.contracts.errors import StoreCorrupt
from eventspine.contracts.journal import State
from eventspine.contracts.stores import EventStreamStore, StreamHead

S = TypeVar("S", bound=State[Any])
SLICE_RECORDS = 512
SLICE_BYTES = 512 * 1024
_decode_beside = msgspec.json.Decoder(Beside).decode
UNFINISHED_MAX = 8  # journals that are half read and nobody reads on


class _Part(NamedTuple):
    """Records of one stream to be read, all of them but the first `skipped`."""

    key: str
    head: StreamHead
    skipped: int = 0


class _Unfinished(NamedTuple, Generic[S]):
    store: EventStreamStore
    parts: list[_Part]
    state: S
    done: int  # parts
    at: int  # in the next one


class JournalReader(Generic[S]):
    """Reads journals of one kind. Args: make_state: an empty state."""

    def __init__(self, make_state: Callable[[], S]) -> None:
        self._make_state = make_state
        self._decode = msgspec.json.Decoder(make_state().record).decode
        self._unfinished: dict[str, _Unfinished[S]] = {}

    async def read(
        self, store: EventStreamStore, key: str, head: StreamHead
    ) -> tuple[S, Base | None]:
        """The state of all records up to `head`, and what of them is beside the journal.

        Raises StoreCorrupt, and what the store raises.
        """
        base = await _base_of(store, key, head)
        parts = [_Part(key, head, 0 if base is None else 1)]
        if base is not None:
            beside = await store.head(base.key)
            if (beside.epoch, beside.sequence) != (base.epoch, base.records):
                raise StoreCorrupt(
                    f"{base.key}: not the {base.records} records that {key} goes on from",
                    path=base.key,
                    found=f"{beside.sequence} records in epoch {beside.epoch}",
                )
            parts.insert(0, _Part(base.key, beside))
        return await self._read(store, key, parts), base

    async def _read(self, store: EventStreamStore, key: str, parts: list[_Part]) -> S:
        state, done, at = self._begun(store, key, parts)
        try:
            for part in parts[done:]:
                at = max(at, part.skipped)
                while at < part.head.sequence:
                    at += await self._slice(store, part, at, state)
                    await checkpoint()
                done, at = done + 1, 0
        except Exception:
            raise
        except BaseException:  # cancelled: nothing was wrong with what is there
            self._keep(key, _Unfinished(store, parts, state, done, at))
            raise
        return state

    async def _slice(self, store: EventStreamStore, part: _Part, at: int, state: S) -> int:
        """Read the records behind the first `at`; answers how many that were."""
        count = min(SLICE_RECORDS, part.head.sequence - at)
        lines = await store.read(part.key, at + 1, count, SLICE_BYTES)
        if not lines:
            raise StoreCorrupt(
                f"{part.key}: record {at + 1} is missing", path=part.key, found="a gap"
            )
        decode = self._decode
        state.apply_all([decode(line) for line in lines], at + 1)
        return len(lines)

    def _begun(self, store: EventStreamStore, key: str, parts: list[_Part]) -> tuple[S, int, int]:
        """What was read before and still stands, or nothing. Records of an epoch never change."""
        found = self._unfinished.pop(key, None)
        if found is None or found.store is not store or _epochs(found.parts) != _epochs(parts):
            return self._make_state(), 0, 0
        return found.state, found.done, found.at

    def _keep(self, key: str, found: _Unfinished[S]) -> None:
        if len(self._unfinished) >= UNFINISHED_MAX:
            del self._unfinished[next(iter(self._unfinished))]
        self._unfinished[key] = found


def _epochs(parts: list[_Part]) -> list[tuple[str, int]]:
    return [(part.key, part.head.epoch) for part in parts]


async def _base_of(store: EventStreamStore, key: str, head: StreamHead) -> Base | None:
    """What a journal says in its first record that it goes on from."""
    if not head.sequence:
        return None
    (line,) = await store.read(key, 1, 1, SLICE_BYTES) or (b"{}",)
    said = _decode_beside(line)
    return Base(key + said.beside, said.epoch, said.records) if said.beside else None
