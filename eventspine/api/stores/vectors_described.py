"""The operations of the vector store, for /openapi.json."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eventspine.api.operation import BODY, OWNER, WRITING, Described, Operation, array, member
from eventspine.api.parameters import id_schema
from eventspine.contracts.vector_filter import CHOICES_MAX, FIELDS_MAX
from eventspine.contracts.vector_index import ANN_ENGINE, EXACT_ENGINE, IndexState
from eventspine.contracts.vectors import COMPONENT_MAX, Metric
from eventspine.services.vectors import RESULTS_DEFAULT

_NUMBER: Mapping[str, Any] = {
    "type": "number",
    "minimum": -COMPONENT_MAX,
    "maximum": COMPONENT_MAX,
}
_VECTOR: dict[str, Any] = {"type": "array", "items": dict(_NUMBER), "minItems": 1}
_METADATA: dict[str, Any] = {"type": "object"}
_SCALAR: dict[str, Any] = {"type": ["string", "number", "boolean", "null"]}
_RANGE: dict[str, Any] = {"type": "number"}
_CONDITION: dict[str, Any] = {
    "type": "object",
    "properties": {
        "eq": _SCALAR,
        "in": {"type": "array", "items": _SCALAR, "maxItems": CHOICES_MAX},
        "gt": _RANGE,
        "gte": _RANGE,
        "lt": _RANGE,
        "lte": _RANGE,
    },
    "minProperties": 1,
    "additionalProperties": False,
}
_FILTER: dict[str, Any] = {
    "type": ["object", "null"],
    "additionalProperties": {"anyOf": [_SCALAR, _CONDITION]},
    "maxProperties": FIELDS_MAX,
}
_METRIC: dict[str, Any] = {"type": "string", "enum": [metric.value for metric in Metric]}
_COLLECTION = member(
    collection={"type": "string"},
    dimensions={"type": "integer", "minimum": 1},
    metric=_METRIC,
    count={"type": "integer", "minimum": 0},
    created_at={"type": "string", "format": "date-time"},
)
_STORED = {
    "id": {"type": "string"},
    "metadata": _METADATA,
    "version": {"type": "integer", "minimum": 1},
    "updated_at": {"type": "string", "format": "date-time"},
}
_WRITTEN: dict[str, Any] = {
    "type": "object",
    "properties": {"vector": _VECTOR, "metadata": _METADATA},
    "required": ["vector"],
    "additionalProperties": False,
}
_ERRORS = (*OWNER, "no_route_configured", "collection_not_found")
_UPSERT_ERRORS = (*_ERRORS, *WRITING, *BODY, "invalid_vector")
_COLLECTION_PATH = "/v1/vectors/{collection}"
_INDEX_PATH = "/v1/vectors/{collection}/index"
_POINT_PATH = "/v1/vectors/{collection}/points/{id}"
OPERATIONS: tuple[Operation, ...] = (
    Operation(
        "get",
        _COLLECTION_PATH,
        "getCollection",
        "vectors",
        "A collection: its dimensions, its metric, how many points",
        context="headers",
        answers={200: Described("The collection", _COLLECTION, {})},
        errors=_ERRORS,
    ),
    Operation(
        "get",
        _POINT_PATH,
        "getPoint",
        "vectors",
        "One point with its vector",
        context="headers",
        answers={200: Described("The point", member(**_STORED, vector=_VECTOR), {})},
        errors=(*_ERRORS, "vector_not_found"),
    ),
    Operation(
        "put",
        _POINT_PATH,
        "putPoint",
        "vectors",
        "Write a point",
        "Whatever was there. The vector is kept as float32; the answer leaves it out.",
        context="headers",
        body=_WRITTEN,
        answers={200: Described("The point as stored", member(**_STORED), {})},
        errors=_UPSERT_ERRORS,
    ),
    Operation(
        "post",
        "/v1/vectors/{collection}/points",
        "putPoints",
        "vectors",
        "Write several points: all of them or none",
        context="headers",
        body=member(
            points=array(
                {
                    **_WRITTEN,
                    "properties": {**_WRITTEN["properties"], "id": id_schema()},
                    "required": ["id", "vector"],
                }
            )
        ),
        answers={200: Described("The points", member(points=array(member(**_STORED))), {})},
        errors=_UPSERT_ERRORS,
    ),
    Operation(
        "delete",
        _POINT_PATH,
        "deletePoint",
        "vectors",
        "Delete a point",
        context="headers",
        answers={204: "nothing"},
        errors=(*_ERRORS, *WRITING, "vector_not_found"),
    ),
    Operation(
        "post",
        "/v1/vectors/{collection}/search",
        "searchPoints",
        "vectors",
        "The nearest points that match a filter",
        "Nearest first, ties in order of id. The filter names top-level members of "
        "the metadata: a value to be equal to, or `eq`, `in`, `gt`, `gte`, `lt`, `lte`; all of it "
        "has to hold. In a collection of more than `vector_exact_max` points an index may choose "
        "which are looked at: then `exact` is false. `exact: true` looks at all that match.",
        context="headers",
        body={
            "type": "object",
            "properties": {
                "vector": _VECTOR,
                "k": {"type": "integer", "minimum": 1, "maximum": 1000, "default": RESULTS_DEFAULT},
                "filter": _FILTER,
                "exact": {"type": "boolean", "default": False},
            },
            "required": ["vector"],
            "additionalProperties": False,
        },
        answers={
            200: Described(
                "The results",
                member(
                    results=array(member(**_STORED, distance={"type": "number"})),
                    engine={"enum": [EXACT_ENGINE, ANN_ENGINE]},
                    exact={"type": "boolean"},
                ),
                {},
            )
        },
        errors=(*_ERRORS, *BODY, "invalid_vector", "extra_missing"),
    ),
    Operation(
        "get",
        _INDEX_PATH,
        "getIndex",
        "vectors",
        "How far the approximate index of a collection is",
        "What is `behind` it, searches look at exactly.",
        context="headers",
        answers={
            200: Described(
                "The index",
                member(
                    state={"enum": [state.value for state in IndexState]},
                    engine={"const": ANN_ENGINE},
                    points={"type": "integer", "minimum": 0},
                    behind={"type": "integer", "minimum": 0},
                    progress={"type": "number", "minimum": 0, "maximum": 1},
                    detail={"type": "string"},
                ),
                {},
            )
        },
        errors=_ERRORS,
    ),
    Operation(
        "delete",
        _INDEX_PATH,
        "rebuildIndex",
        "vectors",
        "Throw the approximate index away",
        "It is built anew if the collection needs one; until then searches are exact.",
        context="headers",
        answers={204: "nothing"},
        errors=_ERRORS,
    ),
    Operation(
        "put",
        _COLLECTION_PATH,
        "putCollection",
        "vectors",
        "Make a collection",
        "One that is there already and the same stays as it is.",
        context="headers",
        body={
            "type": "object",
            "properties": {
                "dimensions": {"type": "integer", "minimum": 1, "maximum": 4096},
                "metric": {**_METRIC, "default": Metric.COSINE.value},
            },
            "required": ["dimensions"],
            "additionalProperties": False,
        },
        answers={200: Described("The collection", _COLLECTION, {})},
        errors=(*OWNER, "no_route_configured", *WRITING, *BODY, "collection_conflict"),
    ),
    Operation(
        "delete",
        _COLLECTION_PATH,
        "deleteCollection",
        "vectors",
        "Delete a collection with all its points",
        context="headers",
        answers={204: "nothing"},
        errors=(*_ERRORS, *WRITING),
    ),
)
