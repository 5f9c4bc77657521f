"""A transport that loses answers."""

from __future__ import annotations

import httpx


class Cutting(httpx.AsyncHTTPTransport):
    """Really sends, and then loses every answer there are `losses` left of."""

    losses = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await super().handle_async_request(request)
        if self.losses:
            self.losses -= 1
            await response.aclose()
            raise httpx.ReadError("cut off")
        return response
