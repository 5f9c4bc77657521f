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
from eventspine.contracts.route import ResourceKind, ResourceRoute, RouteSpec
from eventspine.contracts.secrets import SecretReference, misplaced, secret_fields


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


class FilesystemObjectConfig(FilesystemConfig):
    """`signing_key`: signs upload addresses in place of the root's own key, so that several
    processes with the same secret take each other's addresses."""

    signing_key: SecretReference = None


class MemoryObjectConfig(MemoryConfig):
    """`signing_key`: as for files."""

    signing_key: SecretReference = None


KINDS = (ResourceKind.EVENT_STREAM, ResourceKind.ANALYTICS_STORE, *JOURNALED)
CONFIGS: dict[tuple[str, str], type[BaseModel]] = {
    (kind.value, backend): config
    for kind in KINDS
    for backend, config in (("filesystem", FilesystemConfig), ("memory", MemoryConfig))
}
CONFIGS["object_store", "filesystem"] = FilesystemObjectConfig
CONFIGS["object_store", "memory"] = MemoryObjectConfig


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
    wrong = misplaced(model, config)
    if wrong is not None:
        where = f"config.{wrong}"
        raise InvalidRoute(f"{where}: this field takes no reference to a secret", field=where)
    try:
        return model.model_validate(config)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(["config", *map(str, first["loc"])])
        raise InvalidRoute(f"{where}: {first['msg']}", field=where) from None


def check_route(spec: RouteSpec) -> None:
    """Raises what `config_of` raises for a route."""
    config_of(spec.resource_kind.value, spec.backend_type, spec.config)


def takes_secret(resource_kind: str, backend_type: str, field: str) -> bool:
    """Whether a field of a config takes a reference to a secret."""
    model = CONFIGS.get((resource_kind, backend_type))
    return model is not None and field in secret_fields(model)


class ChecksOnly(Backends[None]):
    """Enough to validate routes of a root that is not open."""

    def check(self, resource_kind: str, backend_type: str, config: dict[str, Any]) -> None:
        config_of(resource_kind, backend_type, config)

    async def open(self, route: ResourceRoute) -> None:
        raise NoRouteConfigured(route.resource_kind.value)

    async def probe(self, route: ResourceRoute) -> Probe:
        return Probe(False, [], "the root is not open")
