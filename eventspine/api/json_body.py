"""A JSON body in the shape that an operation takes, or the error that says why not."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from eventspine.contracts.errors import InvalidJson, InvalidRequest

T = TypeVar("T")


def decoded(decoder: msgspec.json.Decoder[T], body: bytes) -> T:
    """Raises InvalidRequest: another shape. InvalidJson."""
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise InvalidRequest(str(error)) from None
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise InvalidJson(f"the body is not JSON: {error}") from None
