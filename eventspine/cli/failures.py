"""How a command ends when it cannot do what it was asked: two lines on stderr and an exit code.

    error: No route configured for event_stream
    remedy: Create one: eventspine routes create, or POST /v1/routes.

Codes: 0 done, 1 an operation failed, 2 the command line or the set-up is wrong, 130 interrupted.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import NoReturn

import click

from eventspine.contracts.errors import EventspineError

FAILED, MISUSED, INTERRUPTED = 1, 2, 130


def explain(error: EventspineError) -> None:
    """Print what happened and what to do about it."""
    click.echo(f"error: {error.detail}", err=True)
    if error.remedy:
        click.echo(f"remedy: {error.remedy}", err=True)


def fail(detail: str, remedy: str = "", code: int = FAILED) -> NoReturn:
    """End the command with a failure that is no EventspineError."""
    click.echo(f"error: {detail}", err=True)
    if remedy:
        click.echo(f"remedy: {remedy}", err=True)
    raise SystemExit(code)


@contextmanager
def reported(code: int = FAILED) -> Iterator[None]:
    """Turn failures inside into the two lines and the exit code."""
    try:
        yield
    except BaseException as raised:
        error = root_cause(raised)
        if isinstance(error, EventspineError):
            explain(error)
            raise SystemExit(code) from None
        if isinstance(error, KeyboardInterrupt):
            raise SystemExit(INTERRUPTED) from None
        if isinstance(error, BrokenPipeError):
            _silence_stdout()
            raise SystemExit(0) from None
        if isinstance(error, click.exceptions.Exit | click.ClickException | SystemExit):
            raise error from None
        raise


def root_cause(error: BaseException) -> BaseException:
    """The one error inside groups of one (what a task group makes of it), or the group itself.

    Of several, one of ours is taken: the others are what its cancellation caused.
    """
    while isinstance(error, BaseExceptionGroup):
        ours = [e for e in error.exceptions if isinstance(root_cause(e), EventspineError)]
        if not ours and len(error.exceptions) > 1:
            return error
        error = (ours or list(error.exceptions))[0]
    return error


def _silence_stdout() -> None:
    """The reader of our output has gone (`| head`): nothing may be flushed to it at exit."""
    with suppress(OSError, ValueError):  # no real stdout, as under a test runner
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
