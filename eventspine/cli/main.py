"""The `eventspine` command: its subcommands, and nothing else."""

from __future__ import annotations

from typing import Any

import click

from eventspine import __version__
from eventspine.cli.analytics import analytics
from eventspine.cli.append import append
from eventspine.cli.audit import audit
from eventspine.cli.budget import budget
from eventspine.cli.doctor import doctor
from eventspine.cli.failures import reported
from eventspine.cli.init import init
from eventspine.cli.list_events import list_events
from eventspine.cli.memory import memory
from eventspine.cli.metrics import metrics
from eventspine.cli.objects import objects
from eventspine.cli.replay import replay
from eventspine.cli.routes import routes
from eventspine.cli.serve import serve
from eventspine.cli.tables import tables
from eventspine.cli.tail import tail
from eventspine.cli.vectors import vectors


class Commands(click.Group):
    """A group whose commands fail in two lines instead of a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        with reported():
            return super().invoke(ctx)


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="eventspine", message="%(prog)s %(version)s")
def cli() -> None:
    """Durable event streams of many tenants.

    A folder (--root, "var" by default) holds everything. Commands open it themselves, or go to
    the server that holds it; --url names another server.
    """


for command in (
    init,
    serve,
    append,
    list_events,
    tail,
    metrics,
    objects,
    tables,
    memory,
    vectors,
    budget,
    analytics,
    routes,
    audit,
    doctor,
    replay,
):
    cli.add_command(command)


def main() -> None:
    """The console script."""
    cli(prog_name="eventspine")
