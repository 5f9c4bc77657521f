"""`eventspine init`: a root that works, written out so that it can be read and changed."""

from __future__ import annotations

from pathlib import Path

import anyio
import click

from eventspine.cli.failures import fail
from eventspine.cli.where import root_option
from eventspine.contracts.settings_text import settings_text


@click.command()
@root_option
@click.option(
    "--if-missing", is_flag=True, help="Say nothing and succeed when it is there already."
)
@click.option("--print", "print_only", is_flag=True, help="Print settings.toml, write nothing.")
def init(root: Path, if_missing: bool, print_only: bool) -> None:
    """Write settings and explicit lab routes into a root.

    The tenant is t_demo, env dev, mode lab, project default; its streams go to files below the
    root. Nothing that exists is overwritten.
    """
    if print_only:
        click.echo(settings_text(), nl=False)
        return
    try:
        written = write_root(root)
    except OSError as error:
        fail(f"cannot write below {root}: {error.strerror}", "Choose another folder with --root.")
    if not written and not if_missing:
        fail(f"{root} is set up already", "Change its settings.toml, or choose another --root.")
    for line in written:
        click.echo(f"wrote {line}")


def write_root(root: Path) -> list[str]:
    """Settings and routes where there are none; what was written."""
    from eventspine.bootstrap import init_root

    return anyio.run(init_root, root)
