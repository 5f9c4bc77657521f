"""`eventspine routes switch`: move a route to another backend, with everything behind it.

A root that no server has open is opened for the command. What was verified holds as long as the
process does, so there `run --yes` does the whole of it in one.
"""

from __future__ import annotations

from typing import Any

import anyio
import click
import orjson

from eventspine.cli.output import note, print_table
from eventspine.cli.route_options import (
    completed,
    json_option,
    key_options,
    reason_option,
    route_key,
)
from eventspine.cli.store_access import StoreAccess, open_stores
from eventspine.cli.where import Where
from eventspine.client.routes import route_path
from eventspine.contracts.errors import InvalidRoute, SwitchRefused
from eventspine.contracts.route import RouteKey

LOOK_S = 0.2
BY = {"x-user-id": "eventspine routes switch"}
_COLUMNS = ("route", "state", "streams", "level", "from", "to", "next")
_STEPS = {
    "verify": "Compare every stream on both sides, by count and SHA-256.",
    "switch": "Lead the route to the new backend; the old one is written to as well.",
    "reverse": "Lead the route back, with everything that was written since.",
    "finish": "Write to the backend the route leads to alone.",
    "cancel": "Give it up before the switch. What was copied stays where it is.",
}
_NEEDS_LEVEL = frozenset(["verify", "switch", "reverse"])
Shown = dict[str, Any]


@click.group("switch")
def switch_group() -> None:
    """Move a route to another backend, with everything behind it.

    start, run (copy, write to both, verify), switch, then finish or reverse; cancel gives it up
    before the switch. status names the next step.
    """


@switch_group.command("start")
@key_options
@click.option("--declared", help="A backend declared in settings.toml, by its name.")
@click.option("--backend", default="", help="Backend type, as filesystem or memory.")
@click.option("--config", "config_json", default="{}", metavar="JSON", help="Its settings.")
@reason_option
@json_option
def start(
    where: Where,
    kind: str,
    declared: str | None,
    backend: str,
    config_json: str,
    reason: str | None,
    as_json: bool,
) -> None:
    """Prepare it. Refused when the backend holds other data of the route's scopes."""
    try:
        config = orjson.loads(config_json)
    except orjson.JSONDecodeError as error:
        raise InvalidRoute(f"--config is not JSON: {error}") from None
    named = {"backend": declared, "backend_type": backend or None, "reason": reason}
    stated = {name: value for name, value in named.items() if value is not None}
    body = orjson.dumps({**stated, "config": config})

    async def run() -> Shown:
        async with open_stores(where) as stores:
            return await _asked(stores, "POST", _path(where, kind), content=body)

    _print(anyio.run(run), as_json)


@switch_group.command("status")
@click.option("--all", "every", is_flag=True, help="Every switch, not that of one route.")
@key_options
@json_option
def status(where: Where, kind: str, every: bool, as_json: bool) -> None:
    """Where it is, how far the copy is, and what can be done next."""

    async def run() -> list[Shown]:
        async with open_stores(where) as stores:
            if not every:
                return [await _asked(stores, "GET", _path(where, kind))]
            found: list[Shown] = (await _asked(stores, "GET", "/v1/routes/switches"))["switches"]
            return found

    found = anyio.run(run)
    if as_json:
        for switch in found:
            click.echo(orjson.dumps(switch))
        return
    print_table(None, _COLUMNS, [_row(switch) for switch in found])
    for switch in found:
        if switch["error"]:
            note(switch["error"])


@switch_group.command("run")
@click.option("--yes", is_flag=True, help="Switch as soon as it is verified.")
@key_options
@json_option
def run_switch(where: Where, kind: str, yes: bool, as_json: bool) -> None:
    """Copy, write to both backends, verify; stop before the switch unless --yes."""

    async def run() -> Shown:
        path = _path(where, kind)
        async with open_stores(where) as stores:
            await _asked(stores, "POST", f"{path}/run")
            await _wait_level(stores, path)
            switch = await _asked(stores, "POST", f"{path}/verify")
            _say_verified(switch)
            if yes and switch["state"] == "verified":
                switch = await _asked(stores, "POST", f"{path}/switch")
            return switch

    _print(anyio.run(run), as_json)


def _step_command(name: str, text: str) -> None:
    """The command of one step."""

    @switch_group.command(name, help=text)
    @key_options
    @json_option
    def step(where: Where, kind: str, as_json: bool) -> None:
        async def run() -> Shown:
            path = _path(where, kind)
            async with open_stores(where) as stores:
                if name in _NEEDS_LEVEL:
                    await _wait_level(stores, path)
                return await _asked(stores, "POST", f"{path}/{name}")

        switch = anyio.run(run)
        if name == "verify":
            _say_verified(switch)
        _print(switch, as_json)


for _name, _text in _STEPS.items():
    _step_command(_name, _text)


async def _wait_level(stores: StoreAccess, path: str) -> None:
    """Until both backends have everything; tells how far it is. Raises SwitchRefused."""
    told = -1
    while True:
        switch = await _asked(stores, "GET", path)
        progress, copying = switch["progress"], switch["state"] == "copying"
        idle = switch["state"] in ("prepared", "finished", "cancelled")
        if progress["copied_events"] > told and progress["streams"]:
            told = progress["copied_events"]
            note(f"{progress['level']} of {progress['streams']} streams, {told} events copied")
        if idle or (progress["follows"] and not copying):
            return
        if switch["error"]:
            raise SwitchRefused(switch["error"], state=switch["state"])
        await anyio.sleep(LOOK_S)


async def _asked(stores: StoreAccess, method: str, path: str, **options: Any) -> Shown:
    answer = await stores.ask(method, path, headers=BY, timeout_s=None, **options)
    found: Shown = orjson.loads(answer.content)
    return found


def _path(where: Where, kind: str) -> str:
    return f"{route_path(route_key(completed(where), kind))}/switch"


def _say_verified(switch: Shown) -> None:
    found = switch["verification"]
    if found is not None:
        alike = found["difference"] or "alike"
        what = f"{found['streams']} streams, {found['events']} events"
        note(f"{what}, sha256 {found['sha256']}: {alike}")


def _print(switch: Shown, as_json: bool) -> None:
    if as_json:
        click.echo(orjson.dumps(switch))
        return
    cut = switch["state"] in ("switched", "reversed")
    click.echo(
        f"{switch['state']} after a pause of {switch['pause_ms']} ms" if cut else switch["state"]
    )
    if switch["error"]:
        note(switch["error"])
    if switch["next_steps"]:
        note(f"next: {', '.join(switch['next_steps'])}")


def _row(switch: Shown) -> tuple[object, ...]:
    progress = switch["progress"]
    return (
        "/".join(switch[name] for name in RouteKey._fields),
        switch["state"],
        progress["streams"],
        progress["level"],
        _place(switch["source"]),
        _place(switch["target"]),
        " ".join(switch["next_steps"]),
    )


def _place(place: Shown) -> str:
    config = orjson.dumps(place["config"]).decode() if place["config"] else ""
    return f"{place['backend'] or place['backend_type']}{config}"
