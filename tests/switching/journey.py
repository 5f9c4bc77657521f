"""What a route with a switch has to hold, as dictionaries: the model of test_switch_state.py."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, field

from eventspine.contracts.route import ResourceKind
from eventspine.contracts.switch import ENDED, SwitchState
from tests.switching.conftest import FILES, MEMORY, OTHER_FILES, key_of

PLACES = {"files": FILES, "other": OTHER_FILES, "memory": MEMORY}


@dataclass
class Stream:
    epoch: int = 1
    closed: bool = False
    ids: list[str] = field(default_factory=list)

    def begins(self, whole: Stream) -> bool:
        """Whether a switch may copy `whole` onto this."""
        if self.epoch != whole.epoch:
            return self.epoch < whole.epoch and not self.ids
        same = whole.ids[: len(self.ids)] == self.ids
        return same and (whole.closed or not self.closed)


Held = dict[str, Stream]


class Journey:
    """One route: where it leads, what each place holds for it, and its switch."""

    def __init__(self, kind: ResourceKind) -> None:
        self.kind, self.key = kind, key_of(kind)
        self.at = "files"
        self.held: dict[str, Held] = {name: {} for name in PLACES}
        self.source = self.target = ""
        self.state: SwitchState | None = None  # None: it has never had one
        self.parted = False  # a plain edit left records of its own behind

    @property
    def is_open(self) -> bool:
        return self.state is not None and self.state not in ENDED

    @property
    def other(self) -> str:
        return self.source if self.at == self.target else self.target

    @property
    def held_here(self) -> Held:
        return self.held[self.at]

    def stream(self, name: str) -> Stream:
        return self.held[self.at].setdefault(name, Stream())

    def both_have_it(self) -> None:
        self.held[self.other] = deepcopy(self.held[self.at])

    def may_start(self, target: str) -> bool:
        whole, there = self.held[self.at], self.held[target]
        begins = all(one.begins(whole.get(name, Stream())) for name, one in there.items())
        return not self.is_open and target != self.at and begins
