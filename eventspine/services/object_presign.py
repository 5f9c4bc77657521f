"""Presigned uploads: an address where others put one object, or one part of one. Source: FN-07."""

from __future__ import annotations

import re
from typing import NamedTuple

from eventspine.contracts.context import RequestContext
from eventspine.contracts.errors import InvalidRequest
from eventspine.services.upload_grants import (
    EXPIRES_S_MAX,
    SigningKey,
    UploadGrant,
    token_of,
)

OCTETS = "application/octet-stream"
TYPE = "[!-~]{1,100}/[!-~]([ -~]{0,100}[!-~])?"
_TYPE = re.compile(TYPE, re.ASCII)


class PresignedUpload(NamedTuple):
    """Where one object can be put until `expires_at` (seconds since 1970), and with what."""

    path: str
    token: str
    content_type: str
    size_max: int
    expires_at: int


class Wanted(NamedTuple):
    """What an address is to allow.

    `size_max`: None: as much as an object may have. `upload_id`, `part`: for one part of it.
    """

    key: str
    content_type: str
    size_max: int | None
    expires_s: float
    upload_id: str = ""
    part: int = 0


def check(wanted: Wanted, bytes_max: int) -> None:
    """Raises InvalidRequest."""
    checked_type(wanted.content_type)
    if wanted.size_max is not None and not 0 <= wanted.size_max <= bytes_max:
        raise InvalidRequest(f"size_max must be from 0 to {bytes_max}", parameter="size_max")
    if not 0 < wanted.expires_s <= EXPIRES_S_MAX:
        raise InvalidRequest(
            f"expires_s must be above 0 and at most {EXPIRES_S_MAX}", parameter="expires_s"
        )


async def presigned(
    wanted: Wanted, context: RequestContext, bytes_max: int, now_s: float, key: SigningKey
) -> PresignedUpload:
    """Sign what `check` has let through."""
    size_max = bytes_max if wanted.size_max is None else wanted.size_max
    expires_at = int(now_s + wanted.expires_s)
    grant = UploadGrant(
        *context.scope,
        wanted.key,
        wanted.content_type,
        size_max,
        expires_at,
        user_id=context.user_id,
        upload_id=wanted.upload_id,
        part=wanted.part,
    )
    token = token_of(grant, await key())
    return PresignedUpload(f"/v1/uploads/{token}", token, wanted.content_type, size_max, expires_at)


def checked_type(content_type: str) -> str:
    """A media type that can be sent in a header. Raises InvalidRequest."""
    if not _TYPE.fullmatch(content_type):
        raise InvalidRequest("content_type must be as type/subtype", parameter="content_type")
    return content_type
