"""What the endpoints of switches are, for /openapi.json."""

from __future__ import annotations

from typing import Any

from eventspine.api.operation import BODY, Described, Operation, array, member
from eventspine.contracts.switch import SwitchState

SWITCH_PATH = "/v1/routes/{resource_kind}/{tenant_id}/{env}/{project_id}/{mode}/switch"
STEPS = {
    "run": (
        "Copy, and write to both backends",
        "Answers at once; `progress` tells how far it is. After a refusal: try again.",
    ),
    "verify": (
        "Compare every stream on both sides",
        "By count and SHA-256 over its lines. `difference` names the first that is not alike.",
    ),
    "switch": (
        "Lead the route to its new backend",
        "Operations of its scopes wait for `pause_ms`. Until `finish` both backends are written.",
    ),
    "reverse": (
        "Lead the route back, with everything written since",
        "Only after `switch`, and while both are alike.",
    ),
    "finish": (
        "Write to the backend the route leads to alone",
        "What the other one has stays where it is.",
    ),
    "cancel": (
        "Give the switch up",
        "Before the route leads elsewhere. What was copied stays where it is.",
    ),
}
_TEXT = {"type": "string"}
_TEXT_OR_NULL = {"type": ["string", "null"]}
_TIME = {"type": "string", "format": "date-time"}
_WHOLE = {"type": "integer", "minimum": 0}
_PLACE = member(backend=_TEXT_OR_NULL, backend_type=_TEXT, config={"type": "object"})
_VERIFICATION = member(
    at=_TIME, streams=_WHOLE, events=_WHOLE, sha256=_TEXT, difference=_TEXT_OR_NULL
)
_SWITCH = member(
    id=_TEXT,
    resource_kind=_TEXT,
    tenant_id=_TEXT,
    env=_TEXT,
    project_id=_TEXT,
    mode=_TEXT,
    source=_PLACE,
    target=_PLACE,
    state={"enum": [state.value for state in SwitchState]},
    revision=_WHOLE,
    started_at=_TIME,
    started_by=_TEXT_OR_NULL,
    reason=_TEXT_OR_NULL,
    updated_at=_TIME,
    progress=member(
        streams=_WHOLE,
        level=_WHOLE,
        follows={"type": "boolean"},
        copied_events=_WHOLE,
        copied_bytes=_WHOLE,
    ),
    verification={"anyOf": [_VERIFICATION, {"type": "null"}]},
    pause_ms={"type": ["number", "null"]},
    error=_TEXT_OR_NULL,
    next_steps=array(_TEXT),
)
_ANSWER = Described("The switch", _SWITCH, {})
_BODY: dict[str, Any] = {
    "type": "object",
    "properties": {
        "backend": {"type": ["string", "null"], "minLength": 1, "maxLength": 63},
        "backend_type": {"type": "string", "minLength": 1, "maxLength": 64},
        "config": {"type": "object"},
        "reason": {"type": ["string", "null"], "maxLength": 1000},
    },
    "additionalProperties": False,
    "anyOf": [{"required": ["backend_type"]}, {"required": ["backend"]}],
}
_STEP_ERRORS = ("invalid_id", "switch_not_found", "switch_refused", "store_unavailable")
_BACKENDS = ("store_corrupt", "store_full", "outcome_unknown", "draining")
_CUT = ("route_not_found", "route_conflict", "registry_edit_broken", "audit_unavailable")

OPERATIONS: tuple[Operation, ...] = (
    Operation(
        "get",
        "/v1/routes/switches",
        "listSwitches",
        "routes",
        "Every switch, the newest first",
        "A switch moves a route to another backend with everything behind it.",
        answers={200: Described("The switches", member(switches=array(_SWITCH)), {})},
    ),
    Operation(
        "get",
        SWITCH_PATH,
        "getSwitch",
        "routes",
        "The open or the last switch of a route",
        answers={200: _ANSWER},
        errors=("invalid_id", "switch_not_found"),
    ),
    Operation(
        "post",
        SWITCH_PATH,
        "startSwitch",
        "routes",
        "Prepare a switch of a route to another backend",
        "Nothing is copied yet. Refused when the backend is the same, or holds other data of "
        "these scopes; while it is open, nothing else changes the route.",
        ("X-User-Id",),
        "",
        _BODY,
        {201: _ANSWER},
        (
            *BODY,
            "invalid_id",
            "invalid_route",
            "unsupported_backend",
            "backend_refused_in_mode!",
            "secret_unavailable",
            "route_not_found",
            "route_not_editable",
            "switch_refused",
            "store_unavailable",
            *_BACKENDS,
        ),
    ),
    *(
        Operation(
            "post",
            f"{SWITCH_PATH}/{name}",
            f"{name}Switch" if name != "switch" else "takeSwitch",
            "routes",
            *text,
            ("X-User-Id",),
            answers={200: _ANSWER},
            errors=(
                *_STEP_ERRORS,
                *_BACKENDS,
                *(_CUT if name in ("switch", "reverse") else ()),
            ),
        )
        for name, text in STEPS.items()
    ),
)
