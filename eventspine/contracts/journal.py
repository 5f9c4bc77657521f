"""What every journaled kind of store keeps: records in order, and the state they add up to.

A journal is a stream of records under one key, `{kind}/{tenant}/{env}/{surface}/{name}`, kept by
any EventStreamStore; on the filesystem it is `{name}.jsonl`, one record a line (PATH-03, PATH-04,
FLD-24, FLD-25). Each line ends with the members that make it a line of a stream: whose it is, and
where it stands.

    {"key":"p1","data":{"limit":5},"version":1,"updated_at":"2026-11-24T10:00:00.000000Z",
     "stream_id":"policies","routing":{…},"sequence":1,"cursor":"0000000000000001_0000000000000001"}

Rules: a record says all that replaying it needs, the time included, so that the same records always
add up to the same state. A state changes by `apply` alone; what is asked of it decides, and returns
records. Source: DESIGN decisions 3 and 5.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar

import msgspec

R = TypeVar("R", bound=msgspec.Struct)
A = TypeVar("A")


class Decision(NamedTuple, Generic[A]):
    """What was decided in a turn: records to make durable (none for a question), and the answer."""

    records: Sequence[msgspec.Struct]
    answer: A


class State(ABC, Generic[R]):
    """What the records of one journal add up to. No I/O, no clock, no await.

    `record`: the type of its records, a msgspec.Struct or a tagged union of some.
    """

    record: ClassVar[Any]

    @abstractmethod
    def apply(self, record: R, sequence: int) -> None:
        """Take over a record that was decided, or read back."""

    def apply_all(self, records: Sequence[R], first: int) -> None:
        """`apply` each in turn; `first` is the sequence of the first. For what is read back."""
        for sequence, record in enumerate(records, first):
            self.apply(record, sequence)

    @property
    def live(self) -> int | None:
        """How many records a journal with nothing but this state would have.

        None: its records are kept for ever.
        """
        return None

    def snapshot(self) -> Iterable[R]:
        """Records that add up to this state; asked for when `live` is far below what there is."""
        return ()

    # --- the same in pieces, while it changes; for states that can be large ---

    def names(self) -> Iterable[str] | None:
        """What a snapshot has a record of; None: there are no pieces of this kind.

        Of a state that can do it: `opening`, then `record_of` each name, each at a moment of its
        own, then `closing`, then every record that was applied since `opening`, again and in their
        order, add up to the state as it is then. Names that come meanwhile may be among these.
        """
        return None

    def opening(self) -> Sequence[R]:
        """What has to be said before all names."""
        return ()

    def record_of(self, name: str) -> R | None:
        """What there is to say of a name now; None: there is nothing by that name any more."""
        raise NotImplementedError

    def closing(self) -> Sequence[R]:
        """What has to be said behind all names: numbers that stay spent."""
        return ()


S = TypeVar("S", bound=State[Any])
Decide = Callable[[S], Decision[A]]
