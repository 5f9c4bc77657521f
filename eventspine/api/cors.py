"""Cross-origin requests of browsers, for the origins the operator names.

No credentials mode: identity travels in headers that a page sets itself, never in cookies, so an
exact origin is echoed and `*` stays `*`.
"""

from __future__ import annotations

from collections.abc import Sequence

from eventspine.api.answer import Answer, Header
from eventspine.api.context import HEADERS
from eventspine.api.fields import Fields, shown
from eventspine.api.refusals import OriginRefused

METHODS = b"GET, HEAD, POST, PUT, DELETE"
ALLOWED = b", ".join(
    [
        b"Authorization, Content-Type, Last-Event-ID, If-Match, Idempotency-Key, Prefer",
        *[shown(name).encode() for name in HEADERS.values()],
        b"traceparent",
    ]
)
EXPOSED = (
    b"ETag, X-Request-Id, Location, Preference-Applied, Retry-After, "
    b"X-Stream-Head, X-Stream-Earliest, X-Stream-Closed"
)
MAX_AGE_S = b"7200"  # the longest any browser honours (Chromium)


class Cors:
    def __init__(self, origins: Sequence[str]) -> None:
        self._any = "*" in origins
        self._origins = frozenset(origin.rstrip("/").encode() for origin in origins)

    def allowed(self, origin: bytes) -> bytes | None:
        """What Access-Control-Allow-Origin says to this origin; None: not one of ours."""
        if self._any:
            return b"*"
        return origin if origin in self._origins else None

    def refuse_foreign(self, method: str, fields: Fields) -> None:
        """A browser sends some POSTs to any site without asking first; we look at who asks.

        Raises:
            OriginRefused: the request changes something, and comes from a page of another site.
        """
        origin = fields.get(b"origin")
        if method in ("GET", "HEAD", "OPTIONS") or origin is None:
            return
        host = fields.get(b"host") or b""
        if origin in (b"http://" + host, b"https://" + host) or self.allowed(origin) is not None:
            return
        text = origin.decode("latin-1")
        raise OriginRefused(
            f"{text[:100]!r} is not an origin the operator named", origin=text[:100]
        )

    def headers(self, origin: bytes) -> list[Header]:
        """Headers for an actual answer to this origin."""
        allowed = self.allowed(origin)
        if allowed is None:
            return [(b"vary", b"origin")]
        return [
            (b"access-control-allow-origin", allowed),
            (b"access-control-expose-headers", EXPOSED),
            (b"vary", b"origin"),
        ]

    def preflight(self, fields: Fields) -> Answer:
        """The answer to a preflight, beside `headers`, which every answer gets."""
        if self.allowed(fields.get(b"origin") or b"") is None:
            return Answer(204)
        return Answer(
            204,
            headers=[
                (b"access-control-allow-methods", METHODS),
                (b"access-control-allow-headers", ALLOWED),
                (b"access-control-max-age", MAX_AGE_S),
                (b"vary", b"access-control-request-method, access-control-request-headers"),
            ],
        )


def is_preflight(method: str, fields: Fields) -> bool:
    return (
        method == "OPTIONS" and b"origin" in fields and b"access-control-request-method" in fields
    )
