"""Every kind of store that is kept as journals, with the state its records add up to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from eventspine.actors.states.table import Table
from eventspine.contracts.journal import State
from eventspine.contracts.route import ResourceKind

JOURNALED: Mapping[ResourceKind, Callable[[], State[Any]]] = {
    ResourceKind.TABULAR_STORE: Table,
}
