"""Every kind of store that is kept as journals, with the state its records add up to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from eventspine.actors.states.ledger import Ledger
from eventspine.actors.states.memory import Memory
from eventspine.actors.states.metrics import Metrics
from eventspine.actors.states.objects import Objects
from eventspine.actors.states.table import Table
from eventspine.actors.states.vectors import Collection
from eventspine.contracts.journal import State
from eventspine.contracts.route import ResourceKind

JOURNALED: Mapping[ResourceKind, Callable[[], State[Any]]] = {
    ResourceKind.TABULAR_STORE: Table,
    ResourceKind.OBJECT_STORE: Objects,
    ResourceKind.MEMORY_STORE: Memory,
    ResourceKind.METRICS_STORE: Metrics,
    ResourceKind.VECTOR_STORE: Collection,
    ResourceKind.BUDGET_STORE: Ledger,
}
