"""What a request must be before anybody looks at what it asks: pure checks on its framing.

Our own server refuses most of this in its parser; these checks hold behind any other.
"""

from __future__ import annotations

import re

from eventspine.api.answer import Header
from eventspine.api.fields import Fields
from eventspine.contracts.errors import InvalidRequest

_HOST = re.compile(rb"(?:[A-Za-z0-9._~!$&'()*+,;=%-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")

# nosniff: a stored payload is never to be run as a script or a style.
# same-origin: no other site may embed an answer; CORS answers say cross-origin instead.
STANDARD_HEADERS: list[Header] = [(b"x-content-type-options", b"nosniff")]
SAME_ORIGIN: Header = (b"cross-origin-resource-policy", b"same-origin")
CROSS_ORIGIN: Header = (b"cross-origin-resource-policy", b"cross-origin")


def refuse_framing(fields: Fields) -> None:
    """Raises InvalidRequest for requests that two parsers could read in two ways."""
    hosts = fields.all(b"host")
    if len(hosts) != 1:
        raise InvalidRequest(
            f"exactly one Host header is needed, not {len(hosts)}", parameter="Host"
        )
    if not _HOST.fullmatch(hosts[0].strip(b" \t")):
        raise InvalidRequest("Host is not a host name", parameter="Host")
    if b"transfer-encoding" in fields and b"content-length" in fields:
        raise InvalidRequest(
            "Content-Length and Transfer-Encoding exclude each other", parameter="Content-Length"
        )
    if len(fields.all(b"content-length")) > 1:
        raise InvalidRequest("Content-Length is sent twice", parameter="Content-Length")
