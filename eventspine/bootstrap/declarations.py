"""What the settings declare, checked at the start: backends and secrets. Source: DESIGN 11."""

from __future__ import annotations

from eventspine.bootstrap.configs import config_of
from eventspine.contracts.errors import InvalidRoute, SettingsInvalid, UnsupportedBackend
from eventspine.contracts.route import LAB_BACKENDS, LAB_MODE
from eventspine.contracts.secrets import name_of, references
from eventspine.contracts.settings import Settings


def check_declarations(settings: Settings) -> None:
    """Raises SettingsInvalid for a declared backend that no route could be opened with."""
    for name, backend in settings.backends.items():
        where = f"backends.{name}"
        allowed = (LAB_MODE, *settings.routing.lab_backend_modes)
        if backend.backend_type.lower() in LAB_BACKENDS and not set(backend.modes) <= set(allowed):
            modes = ", ".join(allowed)
            raise SettingsInvalid(
                f"{where}: modes: {backend.backend_type} is for {modes}", entry=where
            )
        for kind in backend.kinds:
            try:
                config = config_of(kind.value, backend.backend_type, backend.config)
            except (InvalidRoute, UnsupportedBackend) as error:
                raise SettingsInvalid(f"{where}: {kind.value}: {error}", entry=where) from None
            for reference in references(config):
                if name_of(reference) not in settings.secrets:
                    raise SettingsInvalid(
                        f"{where}: {reference} is not declared: [secrets.{name_of(reference)}]",
                        entry=where,
                    )
