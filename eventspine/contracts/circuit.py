"""What is said of a backend's circuit: its state, since when, and when it is tried again.

Source: SYS-24.
"""

from __future__ import annotations

import re
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

CircuitState = Literal["closed", "open", "half_open"]
CIRCUIT_STATES: tuple[CircuitState, ...] = ("closed", "open", "half_open")
ERROR_CHARS_MAX = 500
_USERINFO = re.compile(r"(://)[^/\s@]+@")


class CircuitHealth(BaseModel):
    """The circuit of one backend. Times are ISO 8601 in UTC.

    `failures` are in a row. While it is not closed, `opened_at` says since when, and
    `next_try_at` when it is tried next, unless that is right now.
    """

    model_config = ConfigDict(frozen=True)

    backend: str
    state: CircuitState
    failures: int = Field(ge=0)
    opened_at: str | None = None
    next_try_at: str | None = None
    last_error: str | None = None
    last_error_at: str | None = None
    last_ok_at: str | None = None


def told(error: BaseException | str) -> str:
    """An error as operators may read it: short, and without the credentials of an address."""
    text = error if isinstance(error, str) else f"{type(error).__name__}: {error}"
    return _USERINFO.sub(r"\1***@", text)[:ERROR_CHARS_MAX]
