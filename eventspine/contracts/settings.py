"""What the operator decides for one root: `{root}/settings.toml`, written by `eventspine init`."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from eventspine.contracts.declared import DeclaredBackend
from eventspine.contracts.errors import SettingsInvalid
from eventspine.contracts.limits import Limits
from eventspine.contracts.route import ResourceKind
from eventspine.contracts.secrets import DeclaredName, SecretSource
from eventspine.contracts.surface import SURFACE_ALIASES

SETTINGS_FILE = "settings.toml"


class LabSettings(BaseModel):
    """A context for requests that state none. There is none outside lab: `mode` must be lab."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tenant_id: str = "t_demo"
    env: str = "dev"
    mode: str = Field("lab", pattern="^lab$")
    project_id: str = "default"


class HttpSettings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    cors_origins: tuple[str, ...] = Field(
        (), description='Origins browsers may come from; "*" all.'
    )
    demo: bool = Field(False, description="Serve /demo.")
    short_ways: bool = Field(
        True, description="Plain appends and pages take shorter ways; same answers."
    )
    direct_delivery: bool = Field(
        True, description="Write to waiting SSE readers without waking their tasks."
    )


class StorageSettings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    log_segment_bytes: int = Field(64 * 1024 * 1024, ge=64 * 1024, description="One log segment.")
    log_segments_max: int = Field(8, ge=2, description="Segments before a checkpoint is forced.")
    unflushed_bytes_max: int = Field(
        32 * 1024 * 1024, ge=0, description="In memory and not in files before a flush is hurried."
    )
    flush_interval_s: float = Field(0.75, gt=0, le=1.0, description="Log to events.jsonl.")
    sync_files_max: int = Field(
        32, ge=0, description="A checkpoint of more streams syncs their whole file system at once."
    )
    logged_object_bytes_max: int = Field(
        64 * 1024, ge=0, le=256 * 1024, description="Larger objects are synced by themselves."
    )
    open_files_max: int = Field(
        4096, ge=8, description="Stream files held open; half of what the process may, at most."
    )


class RoutingSettings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    lab_backend_modes: tuple[str, ...] = Field(
        (), description="Modes besides lab that may use the filesystem and memory backends (R-04)."
    )
    file: str = Field("", description="A file of routes that is followed; relative to the root.")
    watch_files: bool = Field(True, description="Take edits of files of routes while running.")
    tenant_editable: bool = Field(
        False, description="Tenants may choose among declared backends: /v1/tenant/routes."
    )
    probe_every_s: float = Field(
        60.0, ge=1, le=86_400, description="A backend where nothing was stored so long is probed."
    )
    probe_s_max: float = Field(10.0, gt=0, le=60, description="A probe that takes longer failed.")
    probes_at_once: int = Field(4, ge=1, le=64, description="Backends probed at the same time.")
    circuit_failures: int = Field(
        3, ge=1, le=100, description="Failed probes in a row that open a backend's circuit."
    )


class AuditSettings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    strict: Literal["outside_lab", "always", "never"] = Field(
        "outside_lab", description="Where what cannot be audited must not be done."
    )
    lookups: bool = Field(True, description="Record each resolution of a route.")
    kinds: tuple[str, ...] = Field(
        ("object_store",), description="Kinds of store whose changes are recorded."
    )
    queue_max: int = Field(10_000, ge=1, description="Records waiting that nobody waits for.")
    store_s_max: float = Field(10.0, gt=0, le=60, description="How long to store one may take.")

    @field_validator("kinds")
    @classmethod
    def _known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        unknown = sorted(set(value) - set(ResourceKind))
        if unknown:
            raise ValueError(f"there is no kind of store {', '.join(unknown)}")
        return value


class Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    lab: LabSettings | None = None
    http: HttpSettings = HttpSettings()
    storage: StorageSettings = StorageSettings()
    routing: RoutingSettings = RoutingSettings()
    audit: AuditSettings = AuditSettings()
    limits: Limits = Limits()
    native: bool = Field(True, description="Plain appends run compiled, where that was built.")
    surface_aliases: dict[str, str] = Field(default_factory=lambda: dict(SURFACE_ALIASES))
    secrets: dict[DeclaredName, SecretSource] = Field(default_factory=dict)
    backends: dict[DeclaredName, DeclaredBackend] = Field(default_factory=dict)


def load_settings(root: Path) -> Settings:
    """The settings of a root; the defaults when it has no file. Raises SettingsInvalid."""
    path = root / SETTINGS_FILE
    try:
        return Settings.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return Settings()
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsInvalid(f"{path}: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        # not `from error`: its text has what was written, and that may be a secret
        raise SettingsInvalid(f"{path}: {where}: {first['msg']}", entry=where) from None
