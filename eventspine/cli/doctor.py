"""`eventspine doctor`: what is wrong with a root, and what could be mended."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import anyio
import click
import orjson

from eventspine.cli.failures import fail
from eventspine.cli.output import print_table
from eventspine.cli.where import root_option

CLEAN, MENDED, NEEDS_A_PERSON = 0, 1, 2


@click.command()
@root_option
@click.option(
    "--accept",
    multiple=True,
    metavar="STREAM",
    help="Let a quarantined stream (as this command names it) serve what its files hold.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a finding.")
def doctor(root: Path, accept: tuple[str, ...], as_json: bool) -> None:
    """Check everything below a root that no process has open, and mend what can be mended.

    Nothing is deleted: what cannot be read is put aside. Exit code 0: clean; 1: something was
    found and mended; 2: something needs a person.
    """
    from eventspine.bootstrap import examine_root

    findings = anyio.run(examine_root, root, accept)
    if as_json:
        for finding in findings:
            click.echo(orjson.dumps(asdict(finding)))
    else:
        rows = [(finding.verdict, finding.what, finding.detail) for finding in findings]
        print_table(None, ("verdict", "what", "detail"), rows)
    verdicts = {finding.verdict for finding in findings}
    if "damaged" in verdicts:
        fail(f"{root} needs a person", "Keep the folder as it is and look at it.", NEEDS_A_PERSON)
    raise SystemExit(MENDED if "mended" in verdicts else CLEAN)
