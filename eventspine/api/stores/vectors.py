"""The endpoints of the vector store: collections, their points, search.

A search is a POST because it carries a vector; it changes nothing.
"""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec
from starlette.routing import BaseRoute
from starlette.types import ASGIApp

from eventspine.api import negotiation, query
from eventspine.api.address import RawRoute
from eventspine.api.answer import NO_STORE, Answer, json_answer
from eventspine.api.body import read_body
from eventspine.api.call import Call
from eventspine.api.context import ContextReader
from eventspine.api.json_body import decoded
from eventspine.api.service import SpineService
from eventspine.contracts.errors import (
    CollectionNotFound,
    InvalidRequest,
    VectorNotFound,
)
from eventspine.contracts.json_text import json_text
from eventspine.contracts.vectors import Metric
from eventspine.services.vectors import VectorStoreService

_EMPTY = msgspec.Raw(b"{}")
T = TypeVar("T")


class _Made(msgspec.Struct, forbid_unknown_fields=True):
    """A collection, as it is asked for."""

    dimensions: int | float
    metric: str = Metric.COSINE.value


class _Point(msgspec.Struct, forbid_unknown_fields=True):
    vector: list[float]
    metadata: msgspec.Raw = _EMPTY


class _NamedPoint(_Point, forbid_unknown_fields=True, kw_only=True):
    id: str


class _Batch(msgspec.Struct, forbid_unknown_fields=True):
    points: list[_NamedPoint]


class _Search(msgspec.Struct, forbid_unknown_fields=True):
    vector: list[float]
    k: int | float | None = None
    filter: dict[str, Any] | None = None
    exact: bool = False


_made = msgspec.json.Decoder(_Made)
_point = msgspec.json.Decoder(_Point)
_batch = msgspec.json.Decoder(_Batch)
_search = msgspec.json.Decoder(_Search)


class VectorEndpoints:
    def __init__(self, spine: SpineService, contexts: ContextReader) -> None:
        self._spine = spine
        self._contexts = contexts
        self._body_bytes_max = spine.settings.limits.body_bytes_max

    def routes(self) -> list[BaseRoute]:
        return [
            RawRoute(
                "/v1/vectors/{collection}",
                {"GET": self.describe, "PUT": self.create, "DELETE": self.drop},
            ),
            RawRoute("/v1/vectors/{collection}/points", {"POST": self.upsert_many}),
            RawRoute(
                "/v1/vectors/{collection}/points/{id}",
                {"GET": self.get, "PUT": self.upsert, "DELETE": self.delete},
            ),
            RawRoute("/v1/vectors/{collection}/search", {"POST": self.search}),
            RawRoute("/v1/vectors/{collection}/index", {"GET": self.index, "DELETE": self.rebuild}),
        ]

    # --- collections ---

    async def describe(self, call: Call) -> ASGIApp:
        query.parsed(call.query, ())
        found = await self._vectors(call).collection(call.parameters["collection"])
        return json_answer(200, found.as_json(), [NO_STORE])

    async def create(self, call: Call) -> ASGIApp:
        vectors, stated = self._vectors(call), await self._read(call, _made)
        made = await vectors.create_collection(
            call.parameters["collection"], _whole(stated.dimensions, "dimensions"), stated.metric
        )
        return json_answer(200, made.as_json(), [NO_STORE])

    async def drop(self, call: Call) -> ASGIApp:
        query.parsed(call.query, ())
        name = call.parameters["collection"]
        if not await self._vectors(call).delete_collection(name):
            raise CollectionNotFound(f"no collection {name[:100]!r}")
        return Answer(204)

    # --- points ---

    async def get(self, call: Call) -> ASGIApp:
        query.parsed(call.query, ())
        point = await self._vectors(call).get(*_address(call))
        if point is None:
            raise VectorNotFound(f"no point {call.parameters['id'][:100]!r}")
        return json_answer(200, point.as_json(), [NO_STORE])

    async def upsert(self, call: Call) -> ASGIApp:
        vectors, stated = self._vectors(call), await self._read(call, _point)
        name, id = _address(call)
        one = vectors.upsertion(id, stated.vector, _metadata(stated, "metadata"))
        (point,) = await vectors.write(name, [one])
        assert point is not None, "an upsert leaves a point"
        return json_answer(200, point.as_json(vector=False), [NO_STORE])

    async def upsert_many(self, call: Call) -> ASGIApp:
        vectors, stated = self._vectors(call), await self._read(call, _batch)
        writes = [
            vectors.upsertion(one.id, one.vector, _metadata(one, f"point {n}"), f"vector {n}")
            for n, one in enumerate(stated.points)
        ]
        points = await vectors.write(call.parameters["collection"], writes)
        found = [point.as_json(vector=False) for point in points if point is not None]
        return json_answer(200, {"points": found}, [NO_STORE])

    async def delete(self, call: Call) -> ASGIApp:
        query.parsed(call.query, ())
        if not await self._vectors(call).delete(*_address(call)):
            raise VectorNotFound(f"no point {call.parameters['id'][:100]!r}")
        return Answer(204)

    async def search(self, call: Call) -> ASGIApp:
        vectors, stated = self._vectors(call), await self._read(call, _search)
        k = None if stated.k is None else _whole(stated.k, "k")
        found = await vectors.search(
            call.parameters["collection"], stated.vector, k, stated.filter, exact=stated.exact
        )
        results = [one.as_json() for one in found]
        answer = {"results": results, "engine": found.engine, "exact": found.exact}
        return json_answer(200, answer, [NO_STORE])

    # --- the index ---

    async def index(self, call: Call) -> ASGIApp:
        query.parsed(call.query, ())
        status = await self._vectors(call).index(call.parameters["collection"])
        return json_answer(200, status.as_json(), [NO_STORE])

    async def rebuild(self, call: Call) -> ASGIApp:
        query.parsed(call.query, ())
        await self._vectors(call).rebuild_index(call.parameters["collection"])
        return Answer(204)

    # --- all of them ---

    def _vectors(self, call: Call) -> VectorStoreService:
        return self._spine.vectors(self._contexts.read(call.fields, call.request_id))

    async def _read(self, call: Call, decoder: msgspec.json.Decoder[T]) -> T:
        query.parsed(call.query, ())
        negotiation.require_json(call.fields)
        return decoded(decoder, await read_body(call.receive, call.fields, self._body_bytes_max))


def _address(call: Call) -> tuple[str, str]:
    return call.parameters["collection"], call.parameters["id"]


def _whole(value: float, name: str) -> int:
    """3.0 is an integer of JSON Schema as well as 3."""
    if value != int(value):
        raise InvalidRequest(f"{name} must be a whole number", parameter=name)
    return int(value)


def _metadata(one: _Point, where: str) -> bytes:
    json = json_text(bytes(one.metadata), where)
    if not json.startswith(b"{"):
        raise InvalidRequest(f"{where}: metadata must be an object", parameter="metadata")
    return json
