"""Refusals that only HTTP knows: they name methods, media types and framing."""

from __future__ import annotations

from eventspine.contracts.errors import CallerError


class AddressNotFound(CallerError):
    code = "not_found"
    title = "There is nothing at this address"
    remedy = "See /docs for the addresses; an id is one path segment, with / written as %2F."


class MethodNotAllowed(CallerError):
    """Fields: `allow` (methods of the address)."""

    code = "method_not_allowed"
    title = "The address does not take this method"
    remedy = "Use one of the methods in `allow`."


class OriginRefused(CallerError):
    """Fields: `origin`."""

    code = "origin_refused"
    title = "A page of another site may not change anything here"
    remedy = "Name the page's origin in settings.toml, under [http] cors_origins."


class UnsupportedMediaType(CallerError):
    """Fields: `supported`."""

    code = "unsupported_media_type"
    title = "The body is of a type that is not taken here"
    remedy = "Send application/json (UTF-8), or application/x-ndjson for one event a line."


class RequestTimeout(CallerError):
    code = "request_timeout"
    title = "The request came too slowly"
    remedy = "Send headers and body without long pauses; the limits are named in /docs."
    outcome = "never_ran"


class HeadersTooLarge(CallerError):
    code = "headers_too_large"
    title = "The header fields are larger than the limit"
    remedy = "Send fewer or shorter header fields."


class TooManyConnections(CallerError):
    code = "too_many_connections"
    title = "The server holds as many connections as it may"
    remedy = "Try again after `retry_after_s`, or use fewer connections."
    outcome = "never_ran"


class ClientGone(Exception):
    """Nobody is left to answer: the connection ended before the request did."""
