"""settings.toml as `eventspine init` writes it. Pure: made from the models, so it is never stale.

Every setting is there with its default and what it is for; what is commented out is the default.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from eventspine.contracts.settings import LabSettings, Settings

_HEAD = """\
# Settings of this root. A line that is commented out shows the default; unknown names are refused.
# The server reads them when it starts.
"""
_LAB_HEAD = "# The context of requests that state none. Without this section there is no default."
_EXAMPLES = """
# Secrets that configs of routes name as secret://upload_key; a file or a variable each:
# [secrets.upload_key]
# file = "/run/secrets/upload_key"

# Backends that routes name, and what they are for:
# [backends.fast]
# backend_type = "filesystem"
# config = {root = "fast"}
# kinds = ["event_stream"]
# tenants = ["*"]
# modes = ["lab"]"""
_LIVE = {("http", "demo"): True}
_COLUMN = 44


def settings_text() -> str:
    """The file for a lab root."""
    defaults = Settings()
    sections = [_HEAD, *_lab()]
    for name in Settings.model_fields:
        value = getattr(defaults, name)
        if isinstance(value, BaseModel):
            sections += ["", f"[{name}]", *_entries(name, value)]
    sections += ["", "# Other names of a surface. A table of your own replaces this one:"]
    sections.append("# [surface_aliases]")
    sections += [f"# {_toml(k)} = {_toml(v)}" for k, v in defaults.surface_aliases.items()]
    sections.append(_EXAMPLES)
    return "\n".join(sections) + "\n"


def _lab() -> Iterator[str]:
    yield "[lab]"
    yield _LAB_HEAD
    for name, value in LabSettings().model_dump().items():
        yield f"{name} = {_toml(value)}"


def _entries(section: str, value: BaseModel) -> Iterator[str]:
    for name, info in type(value).model_fields.items():
        live = _LIVE.get((section, name))
        shown = getattr(value, name) if live is None else live
        entry = f"{'# ' if live is None else ''}{name} = {_toml(shown)}"
        yield f"{entry:<{_COLUMN}}# {_words(info)}".rstrip(" #")


def _words(info: FieldInfo) -> str:
    return (info.description or "").replace("\n", " ")


def _toml(value: Any) -> str:
    if isinstance(value, tuple | list):
        return f"[{', '.join(_toml(item) for item in value)}]"
    return json.dumps(value, ensure_ascii=False)  # JSON's strings, numbers and booleans are TOML's
