"""Options that the commands on routes share, and the key they make."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click
import orjson
from pydantic import ValidationError

from eventspine.cli.where import Where, completed_by, where_options
from eventspine.contracts.context import DEFAULT_PROJECT
from eventspine.contracts.errors import InvalidRoute
from eventspine.contracts.route import ResourceKind, RouteKey, RouteSpec
from eventspine.contracts.settings import load_settings

json_option = click.option("--json", "as_json", is_flag=True, help="JSON instead of a table.")
reason_option = click.option("--reason", help="Why, for the history.")


def key_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--kind` and the context options, handed to the command as `kind` and `where`."""
    kinds = click.Choice([kind.value for kind in ResourceKind])
    default = ResourceKind.EVENT_STREAM.value
    with_kind = click.option(
        "--kind", type=kinds, default=default, show_default=True, help="Kind of store."
    )
    return where_options(with_kind(command))


def route_key(stated: dict[str, str], kind: str) -> RouteKey:
    """The key that completed options name. Raises click.UsageError."""
    values = {"project_id": DEFAULT_PROJECT, **stated}
    missing = [name for name in ("tenant_id", "env", "mode") if name not in values]
    if missing:
        options = ", ".join(f"--{name.removesuffix('_id')}" for name in missing)
        raise click.UsageError(f"a route needs {options}")
    return RouteKey(kind, values["tenant_id"], values["env"], values["project_id"], values["mode"])


def spec_of(
    key: RouteKey, *, backend: str, declared: str | None, config_json: str, **more: str | None
) -> RouteSpec:
    """What options say a route shall be. Raises InvalidRoute, click.UsageError."""
    if not backend and declared is None:
        raise click.UsageError("a route needs --backend or --declared")
    try:
        config = orjson.loads(config_json)
        target = {"backend": declared, "backend_type": backend, "config": config}
        values = {**key._asdict(), **target, **more}
        return RouteSpec.model_validate(values)
    except orjson.JSONDecodeError as error:
        raise InvalidRoute(f"--config is not JSON: {error}") from None
    except ValidationError as error:
        first = error.errors()[0]
        raise InvalidRoute(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None


def completed(where: Where) -> dict[str, str]:
    """What is stated, with the lab default of the root for what is missing."""
    lab = None if where.url is not None else load_settings(where.root).lab
    return where.stated if lab is None else completed_by(lab.model_dump(), where.stated)
