"""What the operator decides for one root: `{root}/settings.toml`, written by `eventspine init`."""

from __future__ import annotations

import tomllib
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from eventspine.contracts.errors import SettingsInvalid
from eventspine.contracts.limits import Limits
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
    append_lane: bool = Field(True, description="Plain appends take a shorter way; same answers.")
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
    open_files_max: int = Field(
        4096, ge=8, description="Stream files held open; half of what the process may, at most."
    )


class RoutingSettings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    lab_backend_modes: tuple[str, ...] = Field(
        (), description="Modes besides lab that may use the filesystem and memory backends (R-04)."
    )


class Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    lab: LabSettings | None = None
    http: HttpSettings = HttpSettings()
    storage: StorageSettings = StorageSettings()
    routing: RoutingSettings = RoutingSettings()
    limits: Limits = Limits()
    native: bool = Field(True, description="Plain appends run compiled, where that was built.")
    surface_aliases: dict[str, str] = Field(default_factory=lambda: dict(SURFACE_ALIASES))


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
        raise SettingsInvalid(f"{path}: {where}: {first['msg']}", entry=where) from error
