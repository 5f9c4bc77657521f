"""`eventspine serve`: a root over HTTP, until it is told to stop."""

from __future__ import annotations

import errno
import logging
import os
import socket
import sys
from pathlib import Path

import anyio
import click

from eventspine import __version__
from eventspine.cli.failures import MISUSED, fail, reported
from eventspine.cli.process import calm_collector, keep_memory, take_open_files
from eventspine.cli.where import root_option
from eventspine.contracts.legacy_env import KNOWN
from eventspine.contracts.settings import Settings

log = logging.getLogger(__name__)
_LEVELS = ("debug", "info", "warning", "error")
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared, not bound


@click.command()
@root_option
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8080,
    show_default=True,
    help="Port to listen on; 0 takes a free one.",
)
@click.option(
    "--log-level",
    type=click.Choice(_LEVELS),
    default="warning",
    show_default=True,
    help="What is worth a line on standard error.",
)
@click.option("--access-log", is_flag=True, help="One JSON line a request on standard error.")
def serve(root: Path, host: str, port: int, log_level: str, access_log: bool) -> None:
    """Serve a root over HTTP. Ctrl-C stops it gracefully, a second one at once.

    One line says where to point curl and the browser. Exit code 2: the port is taken, another
    process has the root, or the settings are wrong.
    """
    _log(log_level, access_log)
    _warn_of_variables()
    take_open_files()
    keep_memory()
    with reported(MISUSED):
        sock = _bound(host, port)
        anyio.run(_serve, root, sock, access_log, backend_options={"use_uvloop": True})


async def _serve(root: Path, sock: socket.socket, access_log: bool) -> None:
    from eventspine.api.app import create_app
    from eventspine.api.server import serve as serve_http
    from eventspine.bootstrap import open_spine

    async with open_spine(root) as spine:

        def started(host: str, port: int) -> None:
            url = url_of(host, port)
            spine.announce(url)
            calm_collector()
            click.echo(greeting(root, url, spine.settings))

        try:
            await serve_http(
                create_app(spine, log_requests=access_log),
                limits=spine.settings.limits,
                drain=spine.drain,
                on_started=started,
                sock=sock,
            )
        finally:
            spine.announce(None)


def _warn_of_variables() -> None:
    """D2: a variable that chose a backend once is not read, and whoever set it should know."""
    for name in sorted(KNOWN.keys() & os.environ.keys()):
        log.warning("%s chooses nothing; see: eventspine routes import-env", name)


def greeting(root: Path, url: str, settings: Settings) -> str:
    """The one line: what runs, and what to try."""
    event = """'{"event_type":"hello","payload":{}}'"""
    call = f"curl --json {event} {url}/v1/streams/demo/events"
    if settings.lab is None:
        call = f"curl {url}/readyz"  # without a default context an append needs its headers
    page = "demo" if settings.http.demo else "docs"
    return f"eventspine {__version__} serves {root} on {url} - try: {call} - browser: {url}/{page}"


def url_of(host: str, port: int) -> str:
    """The address a client on this machine uses."""
    host = _EVERYWHERE.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _bound(host: str, port: int) -> socket.socket:
    """Bound before the root is opened, so that a taken port fails before recovery begins."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        sock = socket.socket(family, kind, protocol)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
        sock.listen(4096)
    except OSError as error:
        taken = error.errno == errno.EADDRINUSE
        why = "another process listens there" if taken else error.strerror or str(error)
        fail(
            f"cannot listen on {host} port {port}: {why}",
            "Choose another with --port, or --port 0 for a free one.",
            MISUSED,
        )
    return sock


def _log(level: str, access_log: bool) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    if access_log:
        from eventspine.api.server import JsonLines

        access = logging.getLogger("eventspine.access")
        lines = logging.StreamHandler(sys.stderr)
        lines.setFormatter(JsonLines())
        access.addHandler(lines)
        access.setLevel(logging.INFO)
        access.propagate = False
