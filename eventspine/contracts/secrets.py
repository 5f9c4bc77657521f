"""Secrets: named by reference wherever people read, revealed only where they are used.

    [secrets.upload_key]                 # settings.toml, the operator's
    file = "/run/secrets/upload_key"     # or: variable = "UPLOAD_KEY"

    {"signing_key": "secret://upload_key"}     # the config of a route

Rules: a config field takes a reference only if its model says `SecretReference`, and such a field
takes nothing else. A `Secret` has no text: printing, formatting, pickling and comparing it tell
nothing of its value. Errors name the reference.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final, NoReturn, Self, final

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)

SCHEME = "secret://"
NAME = "[a-z0-9][a-z0-9._-]{0,62}"
SECRET_BYTES_MAX = 64 * 1024
DeclaredName = Annotated[str, StringConstraints(pattern=f"^{NAME}$")]
_REFERENCE = re.compile(SCHEME + NAME, re.ASCII)
_MARK: Final = object()


class SecretSource(BaseModel):
    """Where the operator keeps a secret: exactly one of the two."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    file: str | None = Field(None, min_length=1, description="A file; relative to the root.")
    variable: str | None = Field(None, min_length=1, description="A variable of the process.")

    @model_validator(mode="after")
    def _one(self) -> Self:  # noqa: N804 - an after-validator is a method
        if (self.file is None) == (self.variable is None):
            raise ValueError("a secret has either a file or a variable")
        return self


def _checked(value: str | None) -> str | None:
    if value is not None and not _REFERENCE.fullmatch(value):
        raise ValueError(f"must be a reference, {SCHEME}name; the value itself is not taken here")
    return value


SecretReference = Annotated[
    str | None,
    AfterValidator(_checked),
    Field(description="secret://name, declared in settings.toml."),
    _MARK,
]


def references(config: BaseModel) -> Iterator[str]:
    """The references in the fields of a config that take one."""
    values = (getattr(config, name) for name in secret_fields(type(config)))
    yield from (value for value in values if value is not None)


def secret_fields(model: type[BaseModel]) -> list[str]:
    """The fields of a config that take a reference."""
    return [name for name, info in model.model_fields.items() if _MARK in info.metadata]


def misplaced(model: type[BaseModel], config: Mapping[str, Any]) -> str | None:
    """A field whose value is a reference and whose model does not take one."""
    takes = secret_fields(model)
    return next((name for name, value in config.items() if name not in takes and _in(value)), None)


def _in(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(map(_in, value.values()))
    if isinstance(value, list | tuple):
        return any(map(_in, value))
    return isinstance(value, str) and value.startswith(SCHEME)


def name_of(reference: str) -> str:
    return reference.removeprefix(SCHEME)


@final
class Secret:
    """A value that only `reveal` tells."""

    __slots__ = ("_value", "reference")

    def __init__(self, reference: str, value: bytes) -> None:
        self.reference = reference
        self._value = value

    def reveal(self) -> bytes:
        return self._value

    def same(self, other: Secret) -> bool:
        """Whether both have one value, in a time that does not tell where they differ."""
        return hmac.compare_digest(self._value, other._value)

    def __repr__(self) -> str:
        return f"Secret({self.reference!r})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret does not leave its process")
