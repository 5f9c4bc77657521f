"""Sender: a context that appends again and again, each time under another request id.

Why: of what a context puts into its events only the request id changes from request to request.
Copying the context and encoding it anew costs more than the append.
"""

from __future__ import annotations

from eventspine.actors.append import Stamp
from eventspine.contracts.context import RequestContext
from eventspine.contracts.wire import encode_json
from eventspine.services.envelope import metadata_of


class Sender:
    __slots__ = ("_mode", "_rest", "_values", "scope")

    def __init__(self, context: RequestContext) -> None:
        """The context's own request id is not used."""
        self.scope = context.scope
        self._mode = context.mode
        self._values = metadata_of(context)
        self._values.pop("request_id", None)
        rest = encode_json(self._values)[1:]
        self._rest = rest if rest == b"}" else b"," + rest

    def stamp(self, request_id: str, *, plain: bool = False) -> Stamp:
        """What the events of one request get. The id is the caller's to have checked.

        Args:
            plain: the events state no metadata of their own, so nothing needs the values.
        """
        metadata = b'{"request_id":%b%b' % (encode_json(request_id), self._rest)
        values = {} if plain else {"request_id": request_id, **self._values}
        return Stamp(self._mode, metadata, values)
