"""A spine whose routes lead to one of the backends of a lab, and the one that it moves to."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

import eventspine
from eventspine import RequestContext, Settings, Spine
from eventspine.contracts.limits import Limits
from eventspine.contracts.route import ResourceKind, RouteKey, RouteSpec
from eventspine.contracts.settings import LabSettings
from eventspine.contracts.switch import Place, Switch

LAB = LabSettings()
CONTEXT = RequestContext(tenant_id="t_demo", env="dev", mode="lab")
FILES = Place(backend_type="filesystem", config={"root": "files"})
OTHER_FILES = Place(backend_type="filesystem", config={"root": "other"})
MEMORY = Place(backend_type="memory", config={"name": "there"})
Opener = Callable[..., AbstractAsyncContextManager[Spine]]


class Direction(NamedTuple):
    source: Place
    target: Place


DIRECTIONS = {
    "files to memory": Direction(FILES, MEMORY),
    "memory to files": Direction(MEMORY, FILES),
    "files to files": Direction(FILES, OTHER_FILES),
}


@pytest.fixture(params=DIRECTIONS)
def direction(request: pytest.FixtureRequest) -> Direction:
    return DIRECTIONS[request.param]


def key_of(kind: ResourceKind = ResourceKind.EVENT_STREAM) -> RouteKey:
    return RouteKey(kind.value, CONTEXT.tenant_id, CONTEXT.env, "default", CONTEXT.mode)


KEY = key_of()


async def lead(spine: Spine, place: Place, kind: ResourceKind = ResourceKind.EVENT_STREAM) -> None:
    """Have the route of a kind lead to a place."""
    spec = RouteSpec(resource_kind=kind, **LAB.model_dump(), **place.model_dump())
    await spine.routes.update(spec)


async def level(spine: Spine, target: Place, key: RouteKey = KEY) -> Switch:
    """A switch of which everything is copied and written to both."""
    await spine.switches.start(key, target, "ada", "for a test")
    await spine.switches.copy(key)
    return await spine.switches.wait_level(key)


async def verified(spine: Spine, target: Place, key: RouteKey = KEY) -> Switch:
    await level(spine, target, key)
    found = await spine.switches.verify(key)
    assert found.verification is not None
    assert found.verification.difference is None
    return found


@pytest.fixture
def opener(tmp_path: Path) -> Opener:
    """Opens the same root again and again; `limits` go to its settings."""

    @asynccontextmanager
    async def opened(**limits: float) -> AsyncIterator[Spine]:
        settings = Settings(lab=LAB, limits=Limits.model_validate(limits))
        async with eventspine.open(tmp_path, lab=True, settings=settings) as spine:
            yield spine

    return opened
