"""The stores behind a spine, on both backends of a lab, over files that outlive it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

import eventspine
from eventspine import RequestContext, Settings, Spine
from eventspine.bootstrap import KINDS
from eventspine.contracts.limits import Limits
from eventspine.contracts.route import RouteSpec
from eventspine.contracts.settings import LabSettings, StorageSettings

LAB = LabSettings()
CONTEXT = RequestContext(tenant_id="t_demo", env="dev", mode="lab")
Opener = Callable[..., AbstractAsyncContextManager[Spine]]


@pytest.fixture(params=["filesystem", "memory"])
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def opener(tmp_path: Path, backend: str) -> Opener:
    """Opens the same root again and again; `limits` go to its settings.

    The backend "synced" is the one of files, where no object comes by way of the log.
    """
    storage = StorageSettings()
    if backend == "synced":
        storage = StorageSettings(logged_object_bytes_max=0)

    @asynccontextmanager
    async def opened(**limits: float) -> AsyncIterator[Spine]:
        settings = Settings(lab=LAB, limits=Limits.model_validate(limits), storage=storage)
        async with eventspine.open(tmp_path, lab=True, settings=settings) as spine:
            if backend == "memory":
                for kind in KINDS:
                    spec = RouteSpec(resource_kind=kind, backend_type=backend, **LAB.model_dump())
                    await spine.routes.update(spec)
            yield spine

    return opened
