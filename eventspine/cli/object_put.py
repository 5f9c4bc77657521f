"""`eventspine objects put`: one request, or an upload in parts that goes on where it was cut off.

What is longer than a part comes in parts. An upload of the same key and type that is open already
is gone on with: a part that is there with the right SHA-256 is not sent again. Nothing of that is
kept here; the server is asked.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO, NamedTuple

import orjson

from eventspine.cli.output import note
from eventspine.cli.store_access import StoreAccess
from eventspine.client.stores.asking import address

PART_BYTES = 16 * 1024 * 1024
_PAGE_ITEMS = 1000


class Put(NamedTuple):
    """What is to be stored, under which conditions (as header fields)."""

    key: str
    content_type: str
    conditions: Mapping[str, str]
    part_bytes: int


def at(key: str, *more: str) -> str:
    return address("objects", key, *more)


async def put(stores: StoreAccess, wanted: Put, file: BinaryIO) -> bytes:
    """Store a file; answers what was stored, as JSON."""
    pieces = _pieces(file, wanted.part_bytes)
    first, second = next(pieces, b""), next(pieces, b"")
    if not second:
        return await _put_whole(stores, wanted, first)
    return await _Upload(stores, wanted).run(_again(first, second, pieces))


async def _put_whole(stores: StoreAccess, wanted: Put, content: bytes) -> bytes:
    headers = {
        "content-type": wanted.content_type,
        "x-object-sha256": hashlib.sha256(content).hexdigest(),
        **wanted.conditions,
    }
    answer = await stores.ask("PUT", at(wanted.key), headers=headers, content=content)
    return answer.content


class _Upload:
    def __init__(self, stores: StoreAccess, wanted: Put) -> None:
        self._stores = stores
        self._wanted = wanted
        self._address = ""

    async def run(self, pieces: Iterator[bytes]) -> bytes:
        there = await self._begun()
        whole, listed, size = hashlib.sha256(), [], 0
        for number, piece in enumerate(pieces, 1):
            sha256 = hashlib.sha256(piece).hexdigest()
            whole.update(piece)
            size += len(piece)
            known = there.get(number) == sha256
            if not known:
                await self._stores.ask(
                    "PUT",
                    f"{self._address}/parts/{number}",
                    headers={
                        "content-type": "application/octet-stream",
                        "x-object-sha256": sha256,
                    },
                    content=piece,
                )
            listed.append({"number": number, "sha256": sha256})
            note(f"part {number} {'was there' if known else 'stored'}: {size:,} bytes by now")
        answer = await self._stores.ask(
            "POST",
            f"{self._address}/complete",
            headers=dict(self._wanted.conditions),
            content=orjson.dumps({"parts": listed, "sha256": whole.hexdigest()}),
        )
        return answer.content

    async def _begun(self) -> dict[int, str]:
        """An upload that is open or a new one; which parts it has, by number, as SHA-256."""
        key, found = self._wanted.key, await self._open()
        if found is None:
            asked = orjson.dumps({"content_type": self._wanted.content_type})
            answer = await self._stores.ask("POST", at(key, "uploads"), content=asked)
            found = answer.json()
        self._address = at(key, "uploads", found["upload_id"])
        note(f"upload {found['upload_id']}: if it is cut off, the same command goes on with it")
        parts: dict[int, str] = {}
        after: int | None = 0
        while after is not None and found["parts"]:
            page = (await self._stores.ask("GET", self._address, params={"after": after})).json()
            parts |= {part["number"]: part["sha256"] for part in page["parts"]}
            after = page["next"]
        return parts

    async def _open(self) -> dict[str, Any] | None:
        """The upload of this key and type that was active last."""
        key, found, after = self._wanted.key, [], None
        while True:
            params = {"prefix": key, "after": after, "limit": _PAGE_ITEMS}
            page = (await self._stores.ask("GET", "/v1/uploads", params=params)).json()
            found += [one for one in page["uploads"] if self._is_same(one)]
            after = page["next"]
            if after is None or not after.startswith(f"{key}:"):
                return max(found, key=lambda one: str(one["active_at"]), default=None)

    def _is_same(self, upload: dict[str, Any]) -> bool:
        stated = (upload["key"], upload["content_type"], upload["metadata"])
        return stated == (self._wanted.key, self._wanted.content_type, None)


def _pieces(file: BinaryIO, size: int) -> Iterator[bytes]:
    """The bytes in pieces of `size`, also of a pipe that gives fewer at once."""
    while True:
        piece = bytearray()
        while len(piece) < size and (more := file.read(size - len(piece))):
            piece += more
        if not piece:
            return
        yield bytes(piece)


def _again(first: bytes, second: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield second
    yield from rest
