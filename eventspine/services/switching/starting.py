"""Starting a switch: what is refused before anything is copied, and what is kept of it at first."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import uuid4

from eventspine.actors.host import StreamHost
from eventspine.actors.route import RouteActors
from eventspine.contracts.errors import SwitchRefused
from eventspine.contracts.route import ResourceKind, ResourceRoute
from eventspine.contracts.switch import Place, Switch
from eventspine.services.switching.copying import refuse_foreign
from eventspine.services.switching.moving import keys_behind
from eventspine.services.switching.reach import Reach

# An object store keeps bytes beside its index, and puts and deletes them apart from its commits:
# what follows the commits does not follow them. Segments of a dataset are made anew of its lines.
MOVABLE = frozenset(
    [
        ResourceKind.EVENT_STREAM,
        ResourceKind.ANALYTICS_STORE,
        ResourceKind.TABULAR_STORE,
        ResourceKind.MEMORY_STORE,
        ResourceKind.METRICS_STORE,
        ResourceKind.VECTOR_STORE,
        ResourceKind.BUDGET_STORE,
    ]
)


def begun(
    route: ResourceRoute, wanted: ResourceRoute, by: str | None, reason: str | None
) -> Switch:
    """A switch of a route to where `wanted` leads, prepared."""
    now = datetime.now(UTC)
    return Switch(
        id=uuid4().hex,
        **route.key._asdict(),
        source=Place.of(route),
        target=Place.of(wanted),
        revision=route.revision,
        started_at=now,
        started_by=by,
        reason=reason,
        updated_at=now,
    )


async def refuse_start(
    route: ResourceRoute,
    wanted: ResourceRoute,
    actors: RouteActors[StreamHost],
    reach: Reach,
) -> None:
    """Raise SwitchRefused if the route cannot move there. Opens both backends."""
    if route.resource_kind not in MOVABLE:
        raise SwitchRefused(
            f"{route.resource_kind.value} cannot be moved by a switch: it keeps more than lines; "
            "copy it by its own operations"
        )
    primary = (await actors.resolve(route.key)).handle
    follower = await actors.open(wanted)
    if follower is primary:
        raise SwitchRefused(f"the route leads to {primary.name} already")
    await _refuse_other_data(primary, follower, reach)


async def _refuse_other_data(source: StreamHost, target: StreamHost, reach: Reach) -> None:
    """Raise SwitchRefused if the target holds what is not a beginning of the source's."""
    for key in await keys_behind(target, reach):
        there = await target.open_store().head(key)
        head = await source.open_store().head(key)
        if there.mode not in (None, reach.row.mode) and head.mode != reach.row.mode:
            continue  # another route's, and nothing of ours has this key
        await refuse_foreign(source, target, key, head, there, our_own=False)
