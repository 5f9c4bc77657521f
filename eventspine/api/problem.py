"""Errors as problem documents (RFC 9457), and the one table from error to status.

Rules: nothing a client sends gives a 500. A store that found damaged bytes is 503, not 500: the
front works, that stream does not, and a proxy may try another replica. An unforeseen exception is
500 `internal`, says nothing but the request id, and is logged with it.
"""

from __future__ import annotations

import json
import math
from typing import Any

import orjson

from eventspine.api import refusals
from eventspine.api.answer import Answer, Header
from eventspine.contracts import errors

STATUS: dict[type[errors.EventspineError], int] = {
    errors.EventspineError: 500,
    errors.CallerError: 400,
    errors.InvalidRequest: 400,
    errors.InvalidJson: 400,
    errors.InvalidEvent: 422,
    errors.InvalidId: 422,
    errors.InvalidCursor: 400,
    errors.CursorGone: 410,
    errors.ContextMissing: 400,
    errors.ContextConflict: 400,
    errors.ScopeMismatch: 403,
    errors.EventConflict: 409,
    errors.PreconditionFailed: 412,
    errors.StreamClosed: 409,
    errors.StreamSealed: 403,
    errors.StreamNotFound: 404,
    errors.RowNotFound: 404,
    errors.ObjectNotFound: 404,
    errors.RangeNotSatisfiable: 416,
    errors.ChecksumMismatch: 422,
    errors.UploadRefused: 403,
    errors.UploadNotFound: 404,
    errors.InvalidParts: 422,
    errors.TooManyUploads: 409,
    errors.EntryNotFound: 404,
    errors.NotAnInteger: 409,
    errors.MemoryFull: 507,
    errors.MetricNotFound: 404,
    errors.TooManySeries: 422,
    errors.CollectionNotFound: 404,
    errors.CollectionConflict: 409,
    errors.VectorNotFound: 404,
    errors.InvalidVector: 422,
    errors.InvalidAnalyticsEvent: 422,
    errors.QueryTooExpensive: 422,
    errors.TooLarge: 413,
    # 402: the request is right and the money is not there. 409 would read as a clash of ids, and
    # 429 is what clients try again by themselves, which helps nobody before the window ends.
    errors.BudgetExceeded: 402,
    errors.BudgetConflict: 409,
    errors.ReservationNotFound: 404,
    errors.ReservationEnded: 409,
    errors.RouteNotFound: 404,
    errors.RouteConflict: 409,
    errors.RevisionGone: 410,
    errors.SwitchNotFound: 404,
    errors.SwitchRefused: 409,
    errors.InvalidRoute: 422,
    errors.RouteNotEditable: 403,
    refusals.AddressNotFound: 404,
    refusals.MethodNotAllowed: 405,
    refusals.OriginRefused: 403,
    refusals.RequestTimeout: 408,
    refusals.UnsupportedMediaType: 415,
    refusals.HeadersTooLarge: 431,
    refusals.TooManyConnections: 503,
    errors.OperatorError: 503,
    errors.NoRouteConfigured: 404,
    errors.UnsupportedBackend: 422,
    errors.BackendRefusedInMode: 503,
    errors.BackendNotDeclared: 503,
    errors.SecretUnavailable: 503,
    errors.RegistryEditBroken: 503,
    errors.ExtraMissing: 503,
    errors.RegistryNotOpen: 503,
    errors.RootLocked: 503,
    errors.RootInvalid: 503,
    errors.SettingsInvalid: 503,
    errors.BackendError: 503,
    errors.StoreUnavailable: 503,
    errors.AuditUnavailable: 503,
    errors.OutcomeUnknown: 503,
    errors.StoreFull: 507,
    errors.StoreCorrupt: 503,
    errors.OwnerError: 503,
    errors.Overloaded: 429,
    errors.DeadlineExceeded: 503,
    errors.Quarantined: 503,
    errors.RouteMoved: 503,
    errors.Draining: 503,
    errors.Deadlock: 503,
}

INTERNAL_CODE = "internal"
INTERNAL_TITLE = "Something is wrong with the server"
INTERNAL_REMEDY = "Report the request id; the operator finds the cause in the log."

MEDIA_TYPE = b"application/problem+json"
# An operator has to act first; asking every second would only fill the log.
_RETRY_LATE = {"store_corrupt": 60, "root_locked": 60, "root_invalid": 60, "settings_invalid": 60}


# Fields and details that tell of our inside: exceptions of actors, files, processes.
_INSIDE = frozenset(["cause", "key", "path", "found", "root", "pid"])
_INSIDE_STORIES = (
    errors.Quarantined,
    errors.StoreCorrupt,
    errors.RootLocked,
    errors.RootInvalid,
    errors.SecretUnavailable,
)


def status_of(error: errors.EventspineError) -> int:
    """The status of the nearest class that the table names."""
    return next(STATUS[cls] for cls in type(error).__mro__ if cls in STATUS)


def retry_after_s(error: errors.EventspineError) -> int:
    """Whole seconds until another try is worth it, at least 1."""
    stated = error.fields.get("retry_after_s")
    if isinstance(stated, int | float) and math.isfinite(stated):
        return max(1, math.ceil(stated))
    return _RETRY_LATE.get(error.code, 1)


def document(
    error: errors.EventspineError, status: int, instance: str, request_id: str
) -> dict[str, Any]:
    """The members of the problem document; an error's own fields never hide a standard one."""
    shown = {name: value for name, value in error.fields.items() if name not in _INSIDE}
    return {
        **shown,
        "type": f"/docs/errors#{error.code}",
        "title": error.title,
        "status": status,
        "detail": public_detail(error),
        "code": error.code,
        "remedy": error.remedy,
        "outcome": error.outcome,
        "instance": instance,
        "request_id": request_id,
    }


def public_detail(error: errors.EventspineError) -> str:
    """What happened, in words a stranger may read: causes and paths stay in the log."""
    return error.title if isinstance(error, _INSIDE_STORIES) else error.detail


def problem(
    error: errors.EventspineError, instance: str, request_id: str, status: int | None = None
) -> Answer:
    """The answer for an error. `status` overrides the table where an address knows better."""
    status = status_of(error) if status is None else status
    headers: list[Header] = []
    if status in (429, 503):
        headers.append((b"retry-after", b"%d" % retry_after_s(error)))
    if isinstance(error, errors.PreconditionFailed) and "current" in error.fields:
        headers.append((b"etag", f'"{error.fields["current"]}"'.encode()))
    if isinstance(error, refusals.MethodNotAllowed):
        headers.append((b"allow", ", ".join(_strings(error.fields.get("allow"))).encode()))
    return Answer(status, _json(document(error, status, instance, request_id)), MEDIA_TYPE, headers)


def internal_problem(instance: str, request_id: str) -> Answer:
    body = {
        "type": f"/docs/errors#{INTERNAL_CODE}",
        "title": INTERNAL_TITLE,
        "status": 500,
        "detail": "The server failed while it handled this request.",
        "code": INTERNAL_CODE,
        "remedy": INTERNAL_REMEDY,
        "outcome": "unknown",
        "instance": instance,
        "request_id": request_id,
    }
    return Answer(500, _json(body), MEDIA_TYPE)


def _strings(value: object) -> list[str]:
    return [str(item) for item in value] if isinstance(value, list | tuple) else []


def _json(members: dict[str, Any]) -> bytes:
    try:
        return orjson.dumps(members, default=str, option=orjson.OPT_NON_STR_KEYS)
    except TypeError:
        # a lone surrogate quoted from a hostile body; ASCII escapes can say it
        return json.dumps(members, default=str).encode()
