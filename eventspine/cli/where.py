"""Where a command works: which root or server, and in whose name. Options shared by commands."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from typing import Any

import click

_CONTEXT = (
    ("tenant", "tenant_id", "Tenant."),
    ("env", "env", "Environment, as dev or prod."),
    ("mode", "mode", "Mode, as lab."),
    ("project", "project_id", "Project."),
    ("surface", "surface_id", "Surface: where in a product the stream belongs."),
    ("user", "user_id", "User in whose name events are written."),
)


@dataclass(frozen=True, slots=True)
class Where:
    """`stated` holds the context fields given as options; the lab settings complete them."""

    root: Path
    url: str | None = None
    stated: dict[str, str] = field(default_factory=dict)


def root_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--root`, for commands that work on the files themselves."""
    return click.option(
        "--root",
        type=click.Path(file_okay=False, path_type=Path),
        default=Path("var"),
        show_default=True,
        help="Folder that holds settings, routes and events.",
    )(command)


def where_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--root`, `--url` and the context options, handed to the command as `where`."""

    @wraps(command)
    def with_where(root: Path, url: str | None, **options: Any) -> Any:
        stated = {name: options.pop(name) for _, name, _ in _CONTEXT if options.get(name)}
        options = {name: value for name, value in options.items() if name not in _NAMES}
        return command(where=Where(root, url, stated), **options)

    decorated: Callable[..., Any] = with_where
    for option, name, text in reversed(_CONTEXT):
        decorated = click.option(f"--{option}", name, metavar="ID", help=text)(decorated)
    decorated = click.option(
        "--url", metavar="URL", help="Talk to this server instead of opening the root."
    )(decorated)
    return root_option(decorated)


def completed_by(lab: Mapping[str, str], stated: dict[str, str]) -> dict[str, str]:
    """`stated` with the lab default for what is missing, unless another mode is meant."""
    if not lab or stated.get("mode", lab["mode"]) != lab["mode"]:
        return stated
    return {**lab, **stated}


_NAMES = frozenset(name for _, name, _ in _CONTEXT)


def named_values(given: Sequence[str], option: str) -> dict[str, str]:
    """`NAME=VALUE`, given any number of times."""
    found: dict[str, str] = {}
    for one in given:
        name, is_there, value = one.partition("=")
        if not is_there or not name:
            raise click.BadParameter(f"{one!r} is not NAME=VALUE", param_hint=option)
        found[name] = value
    return found
