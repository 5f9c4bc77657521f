"""What a route's config may say, by kind of store and type of backend: one pydantic model each.

Every pair that is not in `CONFIGS` is refused when a route is written. Source: DESIGN decision 11.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from eventspine.actors.states.all import JOURNALED
from eventspine.contracts.backends import Backends, Probe
from eventspine.contracts.errors import InvalidRoute, NoRouteConfigured, UnsupportedBackend
from eventspine.contracts.route import ResourceKind, ResourceRoute


class FilesystemConfig(BaseModel):
    """`root`: a folder below the root of the installation; its own commit log lives there."""

    model_config = ConfigDict(extra="forbid")

    root: str = "."

    @field_validator("root")
    @classmethod
    def _inside(cls, value: str) -> str:
        path = PurePosixPath(value)
        if path.is_absolute() or ".." in path.parts or "\0" in value:
            raise ValueError("must be a relative path below the root")
        return str(path)


class MemoryConfig(BaseModel):
    """`name`: routes with the same name share one memory."""

    model_config = ConfigDict(extra="forbid")

    name: str = "default"


KINDS = (ResourceKind.EVENT_STREAM, *JOURNALED)
CONFIGS: dict[tuple[str, str], type[BaseModel]] = {
    (kind.value, backend): config
    for kind in KINDS
    for backend, config in (("filesystem", FilesystemConfig), ("memory", MemoryConfig))
}


def config_of(resource_kind: str, backend_type: str, config: dict[str, Any]) -> BaseModel:
    """The config of a route, checked.

    Raises:
        UnsupportedBackend: no backend of this type serves this kind; compared in lower case.
        InvalidRoute: the config is not what the backend takes; names the field.
    """
    model = CONFIGS.get((resource_kind, backend_type.lower()))
    if model is None:
        supported = sorted(backend for kind, backend in CONFIGS if kind == resource_kind)
        raise UnsupportedBackend(backend_type, resource_kind=resource_kind, supported=supported)
    try:
        return model.model_validate(config)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(["config", *map(str, first["loc"])])
        raise InvalidRoute(f"{where}: {first['msg']}", field=where) from None


class ChecksOnly(Backends[None]):
    """Enough to validate routes of a root that is not open."""

    def check(self, resource_kind: str, backend_type: str, config: dict[str, Any]) -> None:
        config_of(resource_kind, backend_type, config)

    async def open(self, route: ResourceRoute) -> None:
        raise NoRouteConfigured(route.resource_kind.value)

    async def probe(self, route: ResourceRoute) -> Probe:
        return Probe(False, [], "the root is not open")
