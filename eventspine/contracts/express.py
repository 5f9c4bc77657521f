"""The express: one batch at a time is made durable beside the loop, and not by a thread of Python.

Why: a thread of Python needs the interpreter to begin a commit and to end it, and does not get it
while the loop runs what the last commit has woken. So the loop waits for the disk, and then the
disk for the loop. A device needs nothing of the interpreter: the disk works while the loop does.
Rules: all of it is called on the loop's thread. A batch is begun only when none is on its way, so
that what is durable is so in order. What cannot go this way goes the ordinary one, `commit`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

T_contra = TypeVar("T_contra", contravariant=True)


class Device(Protocol):
    """Writes one record at a time. `eventspine.native.Express`, and what a simulation has."""

    @property
    def landed(self) -> bool:
        """Whether what was begun is durable, or has failed."""

    def listen(self, tell: Callable[[], object], call: Callable[..., object]) -> int | None:
        """Answers a descriptor that is readable when something has landed.

        None: `call(tell)` is called instead, from any thread.
        """

    def begin(self, fd: int, data: bytes, offset: int, seal_fd: int, seal: bytes) -> None:
        """Write `data` durably, and then `seal` at the start of its file. Answers at once."""

    def finish(self) -> tuple[int, int]:
        """What has landed: the errno of the data, or 0; the errno of the seal, or 0."""

    def close(self) -> None:
        """End, after what is begun. Blocks for as long as that takes."""


class Express(Protocol[T_contra]):
    """What a store has of it."""

    @property
    def device(self) -> Device: ...

    def begin(self, batch: Sequence[T_contra]) -> bool:
        """Have a batch made durable. False: it has to go the ordinary way, and nothing was done."""

    def finish(self, batch: Sequence[T_contra]) -> None:
        """It has landed: count it in. Raises what `commit` raises when a write fails."""
