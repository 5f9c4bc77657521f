"""Variables that chose a backend before there were routes, read once and turned into routes. Pure.

    STREAM_TIMELINE_BACKEND=filesystem       the timeline, which is event_stream (D5)
    AUDIT_STRICT=1                           no backend: `audit.strict` in settings.toml (D16)

Rules: nothing else in the product reads these. What a variable of your own means is said once, as
`NAME=kind` for a backend or `NAME=kind.field` for a field of its config. A variable that is not
understood is named with the reason, never with its value; one that holds a secret becomes a
reference and a note how to declare it. Source: D2, D5, D16, DESIGN decision 11.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from eventspine.contracts.errors import EventspineError, InvalidRequest
from eventspine.contracts.route import ResourceKind, RouteKey, RouteSpec
from eventspine.contracts.secrets import SCHEME

_OLD_NAMES = {
    **dict.fromkeys(("in_memory", "inmemory", "mem"), "memory"),
    **dict.fromkeys(("file", "files", "fs", "jsonl", "local"), "filesystem"),
    **dict.fromkeys(("dynamo", "ddb"), "dynamodb"),
    **dict.fromkeys(("cosmosdb", "cosmos_db"), "cosmos"),
}
_BACKENDS = frozenset(  # any other value may be a secret that came into the wrong variable
    [
        *("memory", "filesystem", "firestore", "dynamodb", "cosmos", "s3", "gcs", "azure_blob"),
        *("nats", "redis", "postgres", "sqlite", "kafka", "bigquery", "elasticsearch"),
    ]
)
_LIKE_OURS = re.compile("(_BACKEND|_BACKEND_TYPE|_STORE|_STORE_TYPE)$")
_LIKE_A_SECRET = re.compile("(KEY|SECRET|TOKEN|PASSWORD|PASSWD|CREDENTIALS?)(_|$)")
_NAME = re.compile("[A-Za-z_][A-Za-z0-9_]*", re.ASCII)


class Meaning(NamedTuple):
    """What a variable says: the backend of a kind, or one field of its config."""

    kind: ResourceKind
    field: str | None = None


KNOWN = {"STREAM_TIMELINE_BACKEND": Meaning(ResourceKind.EVENT_STREAM)}
NO_ROUTE = {"AUDIT_STRICT": "it chooses no backend: set audit.strict in settings.toml"}


@dataclass(slots=True)
class Imported:
    """What came of the variables. `secrets`: the variable of each secret to declare, by name."""

    routes: dict[RouteKey, RouteSpec] = field(default_factory=dict)
    taken: list[tuple[str, str]] = field(default_factory=list)
    not_understood: dict[str, str] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)


def meaning_of(text: str) -> tuple[str, Meaning]:
    """`NAME=kind` or `NAME=kind.field`. Raises InvalidRequest."""
    name, _, means = text.partition("=")
    kind, _, where = means.partition(".")
    if not _NAME.fullmatch(name) or kind not in set(ResourceKind):
        kinds = ", ".join(ResourceKind)
        raise InvalidRequest(f"a meaning is NAME=kind or NAME=kind.field; kinds: {kinds}")
    return name, Meaning(ResourceKind(kind), where or None)


def variables_of(text: str) -> dict[str, str]:
    """The variables of a file with lines `NAME=value`. Raises InvalidRequest naming the line."""
    found = {}
    for number, line in enumerate(text.splitlines(), 1):
        try:
            words = [word for word in shlex.split(line, comments=True) if word != "export"]
        except ValueError:
            words = ["an open quote"]
        for word in words:
            name, equals, value = word.partition("=")
            if not equals or not _NAME.fullmatch(name):
                raise InvalidRequest(f"line {number} is not NAME=value")
            found[name] = value
    return found


def looks_legacy(name: str) -> bool:
    """Whether a variable of the process may have chosen a backend."""
    return name in KNOWN or name in NO_ROUTE or _LIKE_OURS.search(name) is not None


def imported(
    variables: Mapping[str, str],
    meanings: Mapping[str, Meaning],
    scope: Mapping[str, str],
    check: Callable[[RouteSpec], None],
    takes_secret: Callable[[str, str, str], bool],
) -> Imported:
    """The routes that variables stand for.

    Args:
        scope: tenant_id, env, project_id and mode of the routes.
        check: raises for a route that this installation cannot serve.
        takes_secret: whether the config of a kind and backend type has a reference in a field.
    """
    result = Imported()
    meanings = {**KNOWN, **meanings}
    for name in sorted(variables):
        if name not in meanings:
            result.not_understood[name] = NO_ROUTE.get(name) or _why(name)
    for kind in ResourceKind:
        names = {name: m.field for name, m in meanings.items() if m.kind is kind}
        present = {name: where for name, where in names.items() if name in variables}
        if present:
            _import_kind(kind, present, variables, scope, result, check, takes_secret)
    return result


def _import_kind(
    kind: ResourceKind,
    present: Mapping[str, str | None],
    variables: Mapping[str, str],
    scope: Mapping[str, str],
    result: Imported,
    check: Callable[[RouteSpec], None],
    takes_secret: Callable[[str, str, str], bool],
) -> None:
    backends = [name for name, where in present.items() if where is None]
    if len(backends) != 1:
        why = f"{kind} needs one variable for its backend, not {len(backends)}"
        result.not_understood.update(dict.fromkeys(present, why))
        return
    value = variables[backends[0]].strip().lower()
    backend = _OLD_NAMES.get(value, value)
    if backend not in _BACKENDS:
        result.not_understood.update(dict.fromkeys(present, "its value is no name of a backend"))
        return
    config: dict[str, Any] = {}
    secrets = {}
    for name, where in _fields(present):
        if takes_secret(kind, backend, where):
            secrets[name.lower().strip("_")] = name
            config[where] = SCHEME + name.lower().strip("_")
        elif _LIKE_A_SECRET.search(name):
            why = f"it looks like a secret, and {where} of {kind} takes none"
            result.not_understood[name] = why
        else:
            config[where] = variables[name]
    names = ", ".join(present)
    try:
        spec = RouteSpec(
            resource_kind=kind,
            backend_type=backend,
            config=config,
            reason=f"imported from {names}"[:1000],
            **scope,
        )
        check(spec)
    except EventspineError as error:
        why = f"{'/'.join(RouteKey(kind, *_parts(scope)))}: {error}"
        result.not_understood.update({n: result.not_understood.get(n, why) for n in present})
        return
    result.routes[spec.key] = spec
    result.taken += [(n, kind.value) for n in present if n not in result.not_understood]
    result.secrets.update(secrets)


def _fields(present: Mapping[str, str | None]) -> Iterator[tuple[str, str]]:
    yield from ((name, where) for name, where in present.items() if where is not None)


def _parts(scope: Mapping[str, str]) -> list[str]:
    return [scope[name] for name in RouteKey._fields[1:]]


def _why(name: str) -> str:
    if _LIKE_A_SECRET.search(name):
        return "it looks like a secret; say what it is for: --means NAME=kind.field"
    return "say what it chooses: --means NAME=kind"
