"""Addresses for one upload each, signed: who has one may put that object, and nothing else.

A token is `{claims}.{signature}`, both base64url: claims are JSON, the signature is HMAC-SHA256 of
their bytes under the root's secret. Bound are the method, the scope, the key, the content type, the
largest size and the end, and for a part its upload and number, so that none of them can be
exchanged. Compared in constant time; nothing of a token is believed, or even parsed, before its
signature is right.
Source: FN-07, after what presigned addresses of S3 do.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from eventspine.contracts.context import RequestContext
from eventspine.contracts.errors import UploadRefused

SigningKey = Callable[[], Awaitable[bytes]]
EXPIRES_S_MAX = 7 * 86_400
_PURPOSE = b"eventspine upload 1\n"


class UploadGrant(msgspec.Struct, frozen=True):
    """What a token allows. `expires_at`: seconds since 1970."""

    tenant_id: str
    env: str
    mode: str
    project_id: str
    surface_id: str
    key: str
    content_type: str
    size_max: int
    expires_at: int
    method: str = "PUT"
    user_id: str | None = None
    upload_id: str = ""  # with it: for one part of this upload
    part: int = 0

    def context(self, request_id: str | None) -> RequestContext:
        """The context of an upload: the scope it was granted in, for who granted it."""
        return RequestContext(
            tenant_id=self.tenant_id,
            env=self.env,
            mode=self.mode,
            project_id=self.project_id,
            surface_id=self.surface_id,
            user_id=self.user_id,
            request_id=request_id,
        )

    def check(self, method: str, content_type: str) -> None:
        """Raises UploadRefused: it is for another method or another type."""
        if method != self.method:
            raise UploadRefused(f"it is for {self.method}")
        if content_type != self.content_type:
            raise UploadRefused(f"Content-Type must be {self.content_type}")


_encode: Callable[[Any], bytes] = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(UploadGrant).decode


def in_memory_key() -> SigningKey:
    """A secret that ends with the process; bootstrap has one in a file."""
    secret = secrets.token_bytes(32)

    async def key() -> bytes:
        return secret

    return key


def token_of(grant: UploadGrant, secret: bytes) -> str:
    claims = _encode(grant)
    return f"{_text(claims)}.{_text(_signature(claims, secret))}"


def is_signed(token: str, secret: bytes) -> bool:
    """Whether a token was made with this secret, and not changed since."""
    claims_text, _, signature_text = token.partition(".")
    return hmac.compare_digest(_bytes(signature_text), _signature(_bytes(claims_text), secret))


def grant_of(token: str, secret: bytes, now_s: float) -> UploadGrant:
    """What a token allows. Raises UploadRefused: it is not ours, was changed, or is over."""
    if not is_signed(token, secret):
        raise UploadRefused("the signature is wrong")
    grant = _decode(_bytes(token.partition(".")[0]))
    if grant.expires_at <= now_s:
        raise UploadRefused("the address has expired")
    return grant


def _signature(claims: bytes, secret: bytes) -> bytes:
    return hmac.new(secret, _PURPOSE + claims, hashlib.sha256).digest()


def _text(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    """Exactly what `_text` makes, or nothing: one token has one spelling."""
    try:
        data = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError:
        return b""
    return data if _text(data) == text else b""
