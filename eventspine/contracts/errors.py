"""The error tree, grouped by who must act.

Job: every failure that leaves the product is one of these, with fields a program
can read, a stable `code`, and the remedy in words.
Rules: the HTTP layer alone knows status codes; a bug is an assertion, never one of these.
Every refused or failed call says how it ended: `refused` (looked at, not done),
`never_ran` (safe to retry as it is) or `unknown` (retry with the same event id).
Source: DESIGN decisions 4 and 13, requirement R-20.
"""

from __future__ import annotations

from typing import ClassVar, Literal

Outcome = Literal["refused", "never_ran", "unknown"]


class EventspineError(Exception):
    """Root of the tree. `fields` are the machine-readable particulars of this occurrence."""

    code: ClassVar[str] = "error"
    title: ClassVar[str] = "The operation failed"
    remedy: ClassVar[str] = ""
    outcome: ClassVar[Outcome] = "refused"

    def __init__(self, detail: str, /, **fields: object) -> None:
        super().__init__(detail)
        self.detail = detail
        self.fields = {name: value for name, value in fields.items() if value is not None}

    def __getattr__(self, name: str) -> object:
        fields = self.__dict__.get("fields", {})
        if name in fields:
            return fields[name]
        raise AttributeError(f"{type(self).__name__} has no field {name!r}")


# --- the caller must act -------------------------------------------------------------------


class CallerError(EventspineError):
    """What was asked is wrong; asking again unchanged gives the same answer."""


class InvalidRequest(CallerError):
    code = "invalid_request"
    title = "The request is malformed"
    remedy = "Correct the parameter named in `detail`."


class InvalidJson(CallerError):
    code = "invalid_json"
    title = "The body is not JSON we can keep"
    remedy = "Send UTF-8 JSON (RFC 8259) without NaN, infinities, lone surrogates or deep nesting."


class InvalidEvent(CallerError):
    code = "invalid_event"
    title = "The event does not have the shape of an event"
    remedy = "An event needs `event_type` (a string) and `payload` (an object); see the schema."


class InvalidId(CallerError):
    code = "invalid_id"
    title = "An identifier is not usable"
    remedy = "Ids are 1 to 255 bytes of UTF-8 without control characters."


class InvalidCursor(CallerError):
    code = "invalid_cursor"
    title = "The position is neither a cursor nor an event id"
    remedy = "Use a `cursor` or an `event_id` that this stream answered, or leave it out."


class CursorGone(CallerError):
    """Fields: `requested`, `earliest`, `latest` (cursors)."""

    code = "cursor_gone"
    title = "The position is not in this stream"
    remedy = "Start again from `earliest`, or from `latest` for new events only."


class ContextMissing(CallerError):
    """Fields: `missing` (list of context field names)."""

    code = "context_missing"
    title = "The request context is incomplete"
    remedy = "State tenant, env and mode (headers X-Tenant-Id, X-Env, X-Mode)."


class ContextConflict(CallerError):
    code = "context_conflict"
    title = "Two statements of the request context disagree"
    remedy = "Send each context value once, or the same value in both places."


class ScopeMismatch(CallerError):
    """Fields: `field`, `stated`, `expected`."""

    code = "scope_mismatch"
    title = "The event or stream belongs to another scope"
    remedy = "Use the tenant, env, mode and project the stream was written with."


class EventConflict(CallerError):
    """Fields: `event_id`, `cursor` of the event that already has this id."""

    code = "event_conflict"
    title = "An event with this id and another body is already stored"
    remedy = "Use a new event id for a new event; an id is spent once and for all."


class PreconditionFailed(CallerError):
    """Fields: `expected`, `current` (cursors of a stream, versions of a row)."""

    code = "precondition_failed"
    title = "It is not at the expected position or version"
    remedy = "Read up to `current`, decide again, and write with `current` as the expectation."


class StreamClosed(CallerError):
    """Fields: `cursor` of the last event."""

    code = "stream_closed"
    title = "The stream is closed"
    remedy = "A closed stream stays readable and never takes another event; use a new stream id."


class StreamSealed(CallerError):
    code = "stream_sealed"
    title = "This stream is written by the audit alone"
    remedy = "Emit an audit record: emit_audit_event, or POST /v1/audit. Reading is as usual."


class StreamNotFound(CallerError):
    code = "stream_not_found"
    title = "Nothing was ever written to this stream"
    remedy = "Check the stream id, tenant, env, project and surface."


class RowNotFound(CallerError):
    code = "row_not_found"
    title = "The table has no such row"
    remedy = "Check the table and the key, and tenant, env, project and surface; rows may expire."


class ObjectNotFound(CallerError):
    code = "object_not_found"
    title = "There is no such object"
    remedy = "Check the key, and tenant, env, project and surface; upload the bytes first."


class RangeNotSatisfiable(CallerError):
    """Fields: `size` of the object in bytes."""

    code = "range_not_satisfiable"
    title = "The object has no bytes in this range"
    remedy = "Ask for a range below `size`."


class ChecksumMismatch(CallerError):
    """Fields: `expected`, `actual` (SHA-256 in hexadecimal digits)."""

    code = "checksum_mismatch"
    title = "The bytes that came are not the bytes that were announced"
    remedy = "Send them again; nothing was stored."


class UploadRefused(CallerError):
    code = "upload_refused"
    title = "The upload address is not valid, or not any more"
    remedy = "Have a new one made: POST /v1/objects/presign."


class UploadNotFound(CallerError):
    code = "upload_not_found"
    title = "There is no such upload, or not any more"
    remedy = "Begin a new one: it was completed, aborted, or nothing came to it for too long."


class InvalidParts(CallerError):
    """Fields: `number` of the part; `expected`, `actual` (SHA-256) where that is wrong."""

    code = "invalid_parts"
    title = "The parts are not as the request says"
    remedy = "List the parts of the upload, put the one that `number` names again, complete again."


class TooManyUploads(CallerError):
    """Fields: `limit` (name of the limit), `maximum`."""

    code = "too_many_uploads"
    title = "The scope has as many open uploads as it may have"
    remedy = "Complete or abort some; what nothing comes to is given up after a while."


class EntryNotFound(CallerError):
    code = "entry_not_found"
    title = "The memory has no such entry"
    remedy = (
        "Check the namespace and the key, and tenant, env, project and surface; it may be over."
    )


class NotAnInteger(CallerError):
    code = "not_an_integer"
    title = "The entry holds no integer that can be counted on"
    remedy = "Count on a key of its own; set it to an integer of 64 bits first if it is taken."


class MemoryFull(CallerError):
    """Fields: `limit` (name of the limit), `maximum`."""

    code = "memory_full"
    title = "The namespace of the memory, or its tenant, is full"
    remedy = "Delete entries, give them a shorter time to live, or have the limit raised."


class MetricNotFound(CallerError):
    code = "metric_not_found"
    title = "Nothing was ever ingested for this metric"
    remedy = "Check the metric and the tags, and tenant, env, project and surface."


class TooManySeries(CallerError):
    """Fields: `limit` (name of the limit), `maximum`, `actual`."""

    code = "too_many_series"
    title = "The scope has as many series as it may have"
    remedy = "Leave out tags with many values, as ids; or have `metrics_series_max` raised."


class CollectionNotFound(CallerError):
    code = "collection_not_found"
    title = "There is no such collection of vectors"
    remedy = "Create it first; check its name, and tenant, env, project and surface."


class CollectionConflict(CallerError):
    """Fields: `dimensions`, `metric` it has."""

    code = "collection_conflict"
    title = "The collection exists, with other dimensions or another metric"
    remedy = "Use it as it is, choose another name, or delete it first with all its points."


class VectorNotFound(CallerError):
    code = "vector_not_found"
    title = "The collection has no such point"
    remedy = "Check the id of the point and the name of the collection."


class InvalidVector(CallerError):
    """Fields: `dimensions`, `expected`, where the number of them is wrong."""

    code = "invalid_vector"
    title = "The vector cannot be kept or compared here"
    remedy = "Send as many finite numbers as the collection has dimensions; see `detail`."


class InvalidAnalyticsEvent(CallerError):
    code = "invalid_analytics_event"
    title = "The analytics event does not have the shape of one"
    remedy = "It needs `event`, its name; `properties` are flat; see the schema."


class QueryTooExpensive(CallerError):
    """Fields: `limit` (name of the limit), `maximum`."""

    code = "query_too_expensive"
    title = "The question costs more than one question may"
    remedy = "Ask about a shorter time, fewer groups or fewer events; the limit is in `limit`."


class TooLarge(CallerError):
    """Fields: `limit` (name of the limit), `maximum`, `actual`."""

    code = "too_large"
    title = "The request is larger than a limit allows"
    remedy = "Send less at once; the limit is named in `limit`."


class BudgetExceeded(CallerError):
    """Fields: `limit`, `window`, `account`, `unit`, `available` (of the limit with least room).

    `source` says whose limit it is: "ledger", or "policy" and its `policy_id`.
    """

    code = "budget_exceeded"
    title = "A budget has no room for this spend"
    remedy = "Spend at most `available`, wait for the next window, or have the limit raised."


class BudgetConflict(CallerError):
    """Fields: `id`, `kind` of the entry that already has it."""

    code = "budget_conflict"
    title = "A spend with this id and another content is already in the ledger"
    remedy = "Use a new id for a new spend; an id is spent once and for all."


class ReservationNotFound(CallerError):
    code = "reservation_not_found"
    title = "Nothing was reserved under this id"
    remedy = "Check the id, and tenant, env, project and surface; reserve first."


class ReservationEnded(CallerError):
    """Fields: `id`, `state` (committed, released or expired)."""

    code = "reservation_ended"
    title = "The reservation has ended in another way"
    remedy = "What was used after all is a spend of its own: record it under a new id."


class RouteNotFound(CallerError):
    code = "route_not_found"
    title = "There is no such route"
    remedy = "List the routes and use the id of one of them."


class RouteConflict(CallerError):
    """Fields: `revision` (current)."""

    code = "route_conflict"
    title = "The route exists already or has changed since it was read"
    remedy = "Read the route again and send its current ETag in If-Match."


class RevisionGone(CallerError):
    """Fields: `requested`, `earliest`, `latest` (revisions)."""

    code = "revision_gone"
    title = "The history of the registry does not have that revision"
    remedy = "Use a revision from `earliest` to `latest`; /v1/routes/history lists them."


class RouteNotEditable(CallerError):
    code = "route_not_editable"
    title = "This route may not be changed here"
    remedy = (
        "Ask the operator: routing.tenant_editable, and routes written by the operator. The route "
        "of the registry itself only shows what it lies on."
    )


class SwitchNotFound(CallerError):
    """Fields: the five parts of the route's key."""

    code = "switch_not_found"
    title = "The route has no switch"
    remedy = "Start one: POST …/switch, or eventspine routes switch start."


class SwitchRefused(CallerError):
    """Fields: `state` of the switch, `key` of the stream it is about."""

    code = "switch_refused"
    title = "The switch cannot do this step, or would lose data"
    remedy = "Read `detail`, and take one of the `next_steps` that the switch names."


class InvalidRoute(CallerError):
    code = "invalid_route"
    title = "The route is not valid"
    remedy = "Correct the field named in `detail`."


# --- the operator must act -----------------------------------------------------------------


class OperatorError(EventspineError):
    """The installation has to be changed by the people who run it."""


class NoRouteConfigured(OperatorError, RuntimeError):
    """R-01: the text is exactly `No route configured for {resource_kind}`."""

    code = "no_route_configured"
    title = "No route is configured for this kind of store"
    remedy = "Create one: eventspine routes create, or POST /v1/routes."

    def __init__(self, resource_kind: str, /, **fields: object) -> None:
        super().__init__(
            f"No route configured for {resource_kind}",
            **{**fields, "resource_kind": resource_kind},
        )


class UnsupportedBackend(OperatorError, RuntimeError):
    """R-02: the text is exactly `Unsupported backend_type={backend_type}`."""

    code = "unsupported_backend"
    title = "This kind of store has no such backend"
    remedy = "Use one of the backend types in `supported`."

    def __init__(self, backend_type: str, **fields: object) -> None:
        super().__init__(
            f"Unsupported backend_type={backend_type}", backend_type=backend_type, **fields
        )


class BackendRefusedInMode(OperatorError):
    """R-04, R-09: filesystem and memory are for lab, unless the operator's settings name a mode."""

    code = "backend_refused_in_mode"
    title = "The mode guard refuses this backend"
    remedy = "Use a backend made for this mode, or name the mode in settings.toml."


class BackendNotDeclared(OperatorError):
    """Fields: `backend`."""

    code = "backend_not_declared"
    title = "The route names a backend that is not declared for it"
    remedy = "Declare it in settings.toml: [backends.NAME], with its kinds, tenants and modes."


class SecretUnavailable(OperatorError):
    """Fields: `reference`. Neither the detail nor a field ever has anything of the value."""

    code = "secret_unavailable"
    title = "A secret that a route or a setting names cannot be had"
    remedy = "Declare it in settings.toml: [secrets.NAME]; see that its file or variable is there."


class RegistryEditBroken(OperatorError):
    """Fields: `file`."""

    code = "registry_edit_broken"
    title = "The file of the registry has an edit that cannot be taken"
    remedy = "Mend the file; until then the last good routes serve and none can be changed."
    outcome = "never_ran"


class ExtraMissing(OperatorError):
    """A library that only this part of the product needs. Fields: `extra`."""

    code = "extra_missing"
    title = "An optional library is not installed"
    remedy = "Install it where eventspine runs; the command is in `detail`."

    def __init__(self, what: str, extra: str = "", **fields: object) -> None:
        install = f' needs a library more: pip install "eventspine[{extra}]"' if extra else ""
        super().__init__(what + install, **{**fields, "extra": extra or None})


class RegistryNotOpen(OperatorError, RuntimeError):
    code = "registry_not_open"
    title = "There is no routing registry to ask"
    remedy = "Open a root first: async with eventspine.open(root)."


class RootLocked(OperatorError):
    """Fields: `root`, `pid`, `url` (of the server that holds it, if it is one)."""

    code = "root_locked"
    title = "Another process owns this root"
    remedy = "Talk to that process over HTTP, or stop it first: one process per root."


class RootInvalid(OperatorError):
    code = "root_invalid"
    title = "The root directory cannot be used"
    remedy = "Run eventspine doctor on it."


class SettingsInvalid(OperatorError):
    code = "settings_invalid"
    title = "The settings file is not valid"
    remedy = "Correct the entry named in `detail`; eventspine init --print shows the defaults."


# --- the backend failed --------------------------------------------------------------------


class BackendError(EventspineError):
    """The place where the bytes live did not do its part."""


class StoreUnavailable(BackendError):
    """Fields: `retry_after_s`."""

    code = "store_unavailable"
    title = "The store cannot be reached right now"
    remedy = "Try again after `retry_after_s`; nothing of this request was stored."
    outcome = "never_ran"


class OutcomeUnknown(BackendError):
    code = "outcome_unknown"
    title = "The store failed while the events were on their way"
    remedy = "Send the same events with the same event ids again: stored ones are recognised."
    outcome = "unknown"


class AuditUnavailable(BackendError):
    """Fields: `retry_after_s`."""

    code = "audit_unavailable"
    title = "The audit record could not be kept, so nothing was done"
    remedy = "Give t_system a route of kind event_stream whose backend works; see docs/AUDIT.md."
    outcome = "never_ran"


class StoreFull(BackendError):
    code = "store_full"
    title = "The disk is full"
    remedy = "Reads go on; appends resume by themselves once there is space."
    outcome = "never_ran"


class StoreCorrupt(BackendError):
    """Fields: `path`, `found`."""

    code = "store_corrupt"
    title = "Stored bytes are damaged or cannot be read"
    remedy = "Run eventspine doctor; the bytes are kept, other streams are not affected."


# --- the owner is closed or busy -----------------------------------------------------------


class OwnerError(EventspineError):
    """The actor that owns the key did not take the call."""

    outcome = "never_ran"


class Overloaded(OwnerError):
    """Fields: `limit`, `maximum`, `retry_after_s`."""

    code = "overloaded"
    title = "Too many callers are waiting"
    remedy = "Try again after `retry_after_s`."


class DeadlineExceeded(OwnerError):
    """The call was still waiting for its turn when its deadline passed; it never ran."""

    code = "deadline_exceeded"
    title = "The deadline passed before the call had its turn"
    remedy = "Try again, or with a longer deadline."


class Quarantined(OwnerError):
    """Fields: `key`, `cause`, `retry_after_s`."""

    code = "quarantined"
    title = "This key failed too often and rests for a while"
    remedy = "Try again after `retry_after_s`; the cause is in the log and in `cause`."


class RouteMoved(OwnerError):
    """What this is about has moved to another backend since its route was looked up."""

    code = "route_moved"
    title = "The data has just moved to another backend"
    remedy = "Try again; nothing of this request was stored."


class Draining(OwnerError):
    code = "draining"
    title = "The process is stopping"
    remedy = "Connect again; another process takes over."


class Deadlock(OwnerError):
    """Fields: `cycle` (list of keys, first equals last)."""

    code = "deadlock"
    title = "The call would wait for itself"
    remedy = "A turn must not ask a key that is waiting for it; the cycle is in `cycle`."
