"""The routes of the system tenant, and the row that says what the registry itself lies on. Pure.

Job: name the kinds of store that the runtime itself uses in every installation: streams, where the
timeline of routing is (and audit records that have no other place), and tables, where the budget
policies are. `eventspine init` writes these routes; `eventspine routes add-system` adds them to a
root that was made before.
Rules: they stand for every env and project of their mode, because a policy or a record is kept in
the env of whom it is about. The registry cannot be found through a route: it is opened first. Its
row is shown beside the others, for diagnostics, and is in no file and no change.
Source: FN-22, EM-01, R-14, SYS-02, Q1.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any

from eventspine.contracts.audit import SYSTEM_ENV, SYSTEM_TENANT
from eventspine.contracts.context import DEFAULT_PROJECT
from eventspine.contracts.route import LAB_MODE, WILDCARD, ResourceKind, ResourceRoute, RouteKey

SYSTEM_KINDS = (ResourceKind.EVENT_STREAM, ResourceKind.TABULAR_STORE)
SYSTEM_MODE = "system"  # the one of the seed for what belongs to nobody
ADDED_BY = "eventspine routes add-system"
REGISTRY_KEY = RouteKey(
    ResourceKind.ROUTING_REGISTRY_STORE.value,
    SYSTEM_TENANT,
    SYSTEM_ENV,
    DEFAULT_PROJECT,
    SYSTEM_MODE,
)


def system_keys(mode: str) -> list[RouteKey]:
    """The rows that serve the system tenant in a mode."""
    return [RouteKey(kind.value, SYSTEM_TENANT, WILDCARD, WILDCARD, mode) for kind in SYSTEM_KINDS]


def to_add(rows: Collection[RouteKey], mode: str) -> list[RouteKey]:
    """Those of them that are not there, nor a row for everybody in their place."""
    return [
        key
        for key in system_keys(mode)
        if key not in rows and key._replace(tenant_id=WILDCARD) not in rows
    ]


def without_system(rows: Collection[RouteKey]) -> list[tuple[str, str]]:
    """The modes in use in which no row at all serves the system tenant, with the kind."""
    return [
        (mode, kind.value)
        for mode in sorted({row.mode for row in rows})
        for kind in SYSTEM_KINDS
        if not any(
            row.mode == mode
            and row.resource_kind == kind.value
            and row.tenant_id in (SYSTEM_TENANT, WILDCARD)
            for row in rows
        )
    ]


def hint(key: RouteKey) -> str:
    """What to do about a scope of the system tenant that nothing serves."""
    if key.tenant_id != SYSTEM_TENANT or key.resource_kind not in SYSTEM_KINDS:
        return ""
    return f"; {adding(key.mode)} writes the routes of {SYSTEM_TENANT}"


def adding(mode: str) -> str:
    """The command that adds the routes of the system tenant in a mode."""
    return ADDED_BY if mode == LAB_MODE else f"{ADDED_BY} --mode {mode} --backend TYPE"


def registry_row(
    backend_type: str, config: dict[str, Any], revision: int, updated_at: datetime
) -> ResourceRoute:
    """What the registry lies on, as a row."""
    return ResourceRoute(
        **REGISTRY_KEY._asdict(),
        backend_type=backend_type,
        config=config,
        reason="what the registry itself lies on: no change of routes moves it",
        revision=revision,
        updated_at=updated_at,
    )
