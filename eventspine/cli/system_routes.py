"""`eventspine routes add-system`: the system tenant's routes, for a root that was made without."""

from __future__ import annotations

import anyio
import click

from eventspine.cli.access import open_access
from eventspine.cli.output import note
from eventspine.cli.route_options import spec_of
from eventspine.cli.where import Where, where_options
from eventspine.contracts.route import LAB_MODE
from eventspine.contracts.system_routes import to_add


@click.command("add-system")
@click.option("--backend", default="", help="Backend type; filesystem unless you say otherwise.")
@click.option("--declared", help="A backend declared in settings.toml, by its name.")
@click.option(
    "--config", "config_json", default="{}", metavar="JSON", help="Settings of the backend."
)
@where_options
def add_system_routes(where: Where, backend: str, declared: str | None, config_json: str) -> None:
    """Routes of the system tenant, t_system, where there are none yet.

    Its streams hold the timeline of routing, its tables the budget policies. `eventspine init`
    writes these routes too; of the context options, --mode alone counts.
    """
    mode = where.stated.get("mode", LAB_MODE)
    backend = backend if backend or declared is not None else "filesystem"
    reason = "written by eventspine routes add-system"

    async def run() -> None:
        async with open_access(where) as access:
            missing = to_add({route.key for route in await access.routes.list()}, mode)
            for key in missing:
                spec = spec_of(
                    key, backend=backend, declared=declared, config_json=config_json, reason=reason
                )
                await access.routes.create(spec)
                click.echo(f"created {'/'.join(key)} -> {declared or backend}")
            if not missing:
                note(f"the system tenant has its routes in mode {mode}")

    anyio.run(run)
