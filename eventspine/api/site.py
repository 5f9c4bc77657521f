"""The pages for people: index, API reference, error catalogue, demo. No foreign host is contacted.

Files are read once when the application is made; names come from that reading and never from a
request, so no request can name another file.
"""

from __future__ import annotations

import hashlib
import html
import mimetypes
from pathlib import Path

from starlette.types import ASGIApp

from eventspine.api.answer import Answer, Header, json_answer
from eventspine.api.call import Call
from eventspine.api.catalogue import catalogue
from eventspine.api.refusals import AddressNotFound
from eventspine.contracts.version import VERSION

STATIC = Path(__file__).parent / "static"

# style: Swagger UI writes style attributes; img: its icons are data: addresses in its own CSS.
_POLICY: Header = (
    b"content-security-policy",
    b"; ".join(
        [
            b"default-src 'self'",
            b"style-src 'self' 'unsafe-inline'",
            b"img-src 'self' data:",
            b"object-src 'none'",
            b"base-uri 'none'",
            b"form-action 'self'",
            b"frame-ancestors 'self'",
        ]
    ),
)
_HTML = b"text/html; charset=utf-8"


class Folder:
    """The files of one folder, by their path in it, ready to be sent."""

    def __init__(self, root: Path) -> None:
        paths = sorted(path for path in root.rglob("*") if path.is_file()) if root.is_dir() else []
        self._files = {
            path.relative_to(root).as_posix(): (path.read_bytes(), _media_type(path))
            for path in paths
        }
        self._tags = {
            name: f'"{hashlib.sha256(content).hexdigest()[:16]}"'.encode()
            for name, (content, _) in self._files.items()
        }

    def answer(self, name: str, call: Call) -> Answer:
        if name not in self._files:
            raise AddressNotFound(f"no file {name[:100]!r} here")
        content, media_type = self._files[name]
        headers: list[Header] = [
            (b"etag", self._tags[name]),
            (b"cache-control", b"no-cache"),  # ask again, 304 when it is the same
            _POLICY,
        ]
        if call.fields.get(b"if-none-match") == self._tags[name]:
            return Answer(304, headers=headers)
        return Answer(200, content, media_type, headers)


class SiteEndpoints:
    def __init__(self, *, demo: bool) -> None:
        self._reference = Folder(STATIC / "swagger-ui")
        self._demo = Folder(STATIC / "demo") if demo else None

    async def index(self, call: Call) -> ASGIApp:
        links = {"docs": "/docs", "errors": "/docs/errors", "openapi": "/openapi.json"}
        links |= {"health": "/healthz", "ready": "/readyz", "metrics": "/metrics"}
        if self._demo is not None:
            links["demo"] = "/demo/"
        if b"text/html" not in (call.fields.get(b"accept") or b""):
            return json_answer(200, {"name": "eventspine", "version": VERSION, **links})
        items = "".join(f'<li><a href="{href}">{name}</a>' for name, href in links.items())
        return _page("eventspine", f"<h1>eventspine {VERSION}</h1><ul>{items}</ul>")

    async def docs(self, call: Call) -> ASGIApp:
        return self._reference.answer("index.html", call)

    async def docs_asset(self, call: Call) -> ASGIApp:
        return self._reference.answer(call.parameters["name"], call)

    async def errors(self, call: Call) -> ASGIApp:
        rows = "".join(
            f'<tr id="{row.code}"><td><code>{row.code}</code><td>{row.status}'
            f"<td>{html.escape(row.title)}<td>{html.escape(row.remedy)}<td>{row.outcome}"
            for row in catalogue()
        )
        table = f"<table><tr><th>code<th>status<th>when<th>remedy<th>outcome{rows}</table>"
        return _page("Errors", f"<h1>Errors</h1>{table}")

    async def demo_moved(self, call: Call) -> ASGIApp:
        self._demo_folder()
        location = b"/demo/" + (b"?" + call.query if call.query else b"")
        return Answer(307, headers=[(b"location", location), (b"content-length", b"0")])

    async def demo(self, call: Call) -> ASGIApp:
        return self._demo_folder().answer(call.parameters.get("name", "index.html"), call)

    def _demo_folder(self) -> Folder:
        if self._demo is None:
            raise AddressNotFound("the demo is off: [http] demo = true in settings.toml")
        return self._demo


def _page(title: str, body: str) -> Answer:
    text = (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
        '<meta name="viewport" content="width=device-width">'
        "<style>body{font:16px/1.5 system-ui;margin:2rem auto;max-width:60rem;padding:0 1rem}"
        "td,th{text-align:left;vertical-align:top;padding:.3rem .8rem .3rem 0}"
        f":target{{background:#fe9}}</style>{body}"
    )
    return Answer(200, text.encode(), _HTML, [_POLICY, (b"cache-control", b"no-cache")])


def _media_type(path: Path) -> bytes:
    media_type = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    if media_type in ("application/javascript", "text/javascript"):
        media_type = "text/javascript"
    if media_type.startswith("text/"):
        media_type += "; charset=utf-8"
    return media_type.encode()
