"""The one middleware: what every request goes through, before and after its endpoint.

Job: check the framing, answer preflights, name the request, turn errors into problem documents,
add the headers every answer has, count the answer.
Refused: a stack of middleware classes; each wraps `send` again, and that is most of what
Starlette costs on a small request (docs/decisions/0004-server.md).
"""

from __future__ import annotations

import logging
import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from eventspine.api.address import raw_path
from eventspine.api.answer import Answer, Header
from eventspine.api.call import CALL, Call
from eventspine.api.context import request_id_of
from eventspine.api.cors import is_preflight
from eventspine.api.every_answer import EveryAnswer
from eventspine.api.fields import Fields
from eventspine.api.guard import refuse_framing
from eventspine.api.lane.lanes import Lanes
from eventspine.api.refusals import ClientGone
from eventspine.contracts.errors import EventspineError, InvalidRequest, TooLarge

log = logging.getLogger("eventspine.api")

# How much of a body that was refused is still taken in, so that the client reads the refusal
# and not a reset connection.
_LINGER_BYTES = 64 * 1024 * 1024
_CLOSE: Header = (b"connection", b"close")


class Front:
    def __init__(self, app: ASGIApp, every: EveryAnswer, lanes: Lanes | None = None) -> None:
        """`lanes`: the short ways that our own server has; any other does without."""
        self._app, self._every = app, every
        self.lanes = lanes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        fields = Fields(scope["headers"])
        call = Call(scope, receive, fields, request_id_of(fields))
        scope[CALL] = call
        exchange = _Exchange(call, send, self._every.headers(call.fields, call.request_id))
        started = time.perf_counter()
        try:
            await self._handled(call, exchange)
        except ClientGone:
            pass  # nobody is left to answer; counted below with status 499, as nginx does
        finally:
            status, named = exchange.status or 499, (scope["method"], call.template)
            self._every.count(*named, status, _instance(scope), call.request_id, started)

    async def _handled(self, call: Call, exchange: _Exchange) -> None:
        scope = call.scope
        try:
            refuse_framing(call.fields)
            if is_preflight(scope["method"], call.fields):
                await self._every.cors.preflight(call.fields)(scope, call.receive, exchange.send)
                return
            self._every.cors.refuse_foreign(scope["method"], call.fields)
            await self._app(scope, call.receive, exchange.send)
        except EventspineError as error:
            await self._refused(call, exchange, error)
        except ClientGone:
            raise
        except Exception as error:
            if exchange.status:
                log.exception("unhandled error, request %s", call.request_id)
                raise  # half an answer is out; the server ends the connection
            answer = self._every.refusal(error, _instance(scope), call.request_id)
            await answer(scope, call.receive, exchange.send)

    async def _refused(self, call: Call, exchange: _Exchange, error: EventspineError) -> None:
        if exchange.status:
            log.error("%s after the answer began, request %s", error.code, call.request_id)
            raise error
        answer = self._every.refusal(error, _instance(call.scope), call.request_id)
        if isinstance(error, TooLarge) and error.fields.get("limit") == "body_bytes_max":
            await _refused_and_read_out(answer, call, exchange)
            return
        if isinstance(error, InvalidRequest) and error.fields.get("parameter") == "Content-Length":
            answer.raw_headers.append(_CLOSE)
        await answer(call.scope, call.receive, exchange.send)


class _Exchange:
    """`send`, with the headers every answer has and a look at the status."""

    __slots__ = ("_call", "_headers", "_send", "status")

    def __init__(self, call: Call, send: Send, headers: list[Header]) -> None:
        self._call, self._send, self._headers = call, send, headers
        self.status = 0

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message["headers"] = [*message.get("headers", ()), *self._headers]
        await self._send(message)


async def _refused_and_read_out(answer: Answer, call: Call, exchange: _Exchange) -> None:
    """Answer at once, then take in what the client is still sending, then close."""
    headers = [*answer.raw_headers, _CLOSE]
    await exchange.send(
        {"type": "http.response.start", "status": answer.status_code, "headers": headers}
    )
    await exchange.send({"type": "http.response.body", "body": answer.body, "more_body": True})
    expects_go_ahead = b"expect" in call.fields  # it waits for 100-continue and sends nothing
    left = 0 if expects_go_ahead else _LINGER_BYTES
    while left > 0:
        message = await call.receive()
        if message["type"] == "http.disconnect" or not message.get("more_body", False):
            break
        left -= len(message.get("body", b""))
    await exchange.send({"type": "http.response.body", "body": b""})


def _instance(scope: Scope) -> str:
    return raw_path(scope).decode("latin-1")
