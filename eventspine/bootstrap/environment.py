"""The one thing that a variable of the process may say: AUDIT_STRICT (R-06, D16).

It chooses no backend. `AUDIT_STRICT=1` makes the audit strict, whatever settings.toml says;
`AUDIT_STRICT=0` makes it lenient only where settings.toml says nothing of its own.
"""

from __future__ import annotations

from collections.abc import Mapping

from eventspine.contracts.errors import SettingsInvalid
from eventspine.contracts.settings import Settings

VARIABLE = "AUDIT_STRICT"
_STRICT = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}


def with_environment(settings: Settings, environment: Mapping[str, str]) -> Settings:
    """The settings as they hold in a process with these variables. Raises SettingsInvalid."""
    text = environment.get(VARIABLE, "").strip().lower()
    if not text:
        return settings
    if text not in _STRICT:
        raise SettingsInvalid(f"{VARIABLE} must be 1 or 0", entry=VARIABLE)
    if _STRICT[text]:
        strict = "always"
    elif "strict" in settings.audit.model_fields_set:
        return settings
    else:
        strict = "never"
    return settings.model_copy(
        update={"audit": settings.audit.model_copy(update={"strict": strict})}
    )
