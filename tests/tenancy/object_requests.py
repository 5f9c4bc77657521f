"""Random requests about objects: whole, in parts, by signed addresses."""

from __future__ import annotations

import hashlib

from tests.tenancy.drawing import Draw, Generator, Request, as_json, escaped, json_with, rows_of

BYTES = (b"", b"one", b"two" * 50)


def _object(draw: Draw, rest: str = "") -> str:
    return f"/v1/objects/{escaped(draw.name())}{rest}"


def _bytes(draw: Draw) -> bytes:
    data: bytes = draw.of(*BYTES)
    return data + draw.who.mark.encode()


def _etag(draw: Draw) -> str:
    return f'"{hashlib.sha256(_bytes(draw)).hexdigest()}"'


def _put_object(draw: Draw) -> Request:
    headers = draw.of({}, {}, {"if-none-match": "*"}, {"if-match": draw.of("*", _etag(draw))})
    headers = {"content-type": draw.of("text/plain", "image/png"), **headers}
    return Request("putObject", "PUT", _object(draw), headers=headers, content=_bytes(draw))


UPLOAD = "{upload}"  # the address of the upload that was begun last, by whoever sends it


def _part(draw: Draw) -> bytes:
    """Always the same for a program, so that its SHA-256 can be stated without an answer."""
    return f"a part of {draw.who.mark}".encode()


def _part_address(draw: Draw) -> str:
    return f"{UPLOAD}/parts/{draw.of(1, 1, 2)}"


def _complete(draw: Draw) -> Request:
    part = {"number": 1, "sha256": hashlib.sha256(_part(draw)).hexdigest()}
    headers = draw.of({}, {}, {"if-none-match": "*"})
    sent = json_with({"parts": [part]}, headers)
    return Request("completeUpload", "POST", f"{UPLOAD}/complete", **sent)


_PARTS: dict[str, Generator] = {
    "listUploads": lambda d: rows_of(d, "listUploads", "/v1/uploads"),
    # a key of its own each: uploads of one key are listed in the order of ids that were made
    "beginUpload": lambda d: Request(
        "beginUpload",
        "POST",
        f"/v1/objects/{escaped(d.fresh())}/uploads",
        **as_json({"metadata": d.value()}),
    ),
    "listParts": lambda d: Request("listParts", "GET", UPLOAD, d.some(limit=1)),
    "abortUpload": lambda d: Request("abortUpload", "DELETE", UPLOAD),
    "putPart": lambda d: Request("putPart", "PUT", _part_address(d), content=_part(d)),
    "presignPart": lambda d: Request(
        "presignPart", "POST", _part_address(d) + "/presign", **as_json({"expires_s": 3000})
    ),
    "completeUpload": _complete,
}
OBJECTS: dict[str, Generator] = {
    "listObjects": lambda d: rows_of(d, "listObjects", "/v1/objects"),
    "getObject": lambda d: Request(
        "getObject", "GET", _object(d), headers=d.of({}, {}, {"range": "bytes=1-2"})
    ),
    "putObject": _put_object,
    "deleteObject": lambda d: Request(
        "deleteObject", "DELETE", _object(d), headers=d.of({}, {"if-match": _etag(d)})
    ),
    "registerAsset": lambda d: Request(
        "registerAsset", "PUT", _object(d, "/metadata"), **as_json({"metadata": d.value()})
    ),
    "presignUpload": lambda d: Request(
        "presignUpload",
        "POST",
        "/v1/objects/presign",
        **as_json({"key": d.name(), "content_type": "text/plain", "expires_s": 3000}),
    ),
    # the address is the one that was signed last; the one who sends it puts it there
    "upload": lambda d: Request(
        "upload", "PUT", "", headers={"content-type": "text/plain"}, content=_bytes(d)
    ),
    **_PARTS,
}
