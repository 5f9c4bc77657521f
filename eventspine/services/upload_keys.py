"""UploadKeys: which secret signs the upload addresses of a scope.

The root has a key of its own; a route whose config names a `signing_key` has that one, so that
several processes with the same secret take each other's addresses. An address is taken only with
the key that its scope's route has now: who knows one route's key can sign for no other route, and
a key that a route has given up opens nothing any more.
"""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, Sequence

from eventspine.actors.host import StreamHost
from eventspine.contracts.context import RequestContext
from eventspine.contracts.errors import UploadRefused
from eventspine.services.journals import Journals
from eventspine.services.upload_grants import SigningKey, UploadGrant, grant_of, is_signed


class UploadKeys:
    """`own`: the root's key, asked for when it is needed."""

    def __init__(
        self, own: Callable[[], Awaitable[bytes]], journals: Journals, hosts: Sequence[StreamHost]
    ) -> None:
        self._own = own
        self._journals = journals
        self._hosts = hosts

    def of(self, context: RequestContext) -> SigningKey:
        """The key of a scope, to be asked for. Asking raises what resolving a route raises."""

        async def key() -> bytes:
            named = await self._journals.upload_key(context)
            return await self._own() if named is None else named.reveal()

        return key

    async def grant(self, token: str) -> UploadGrant:
        """What a signed upload address allows. Raises UploadRefused."""
        named = {key.reveal() for host in self._hosts for key in host.upload_keys.values()}
        for secret in (await self._own(), *named):
            if is_signed(token, secret):
                grant = grant_of(token, secret, self._journals.now_s())
                if not hmac.compare_digest(secret, await self.of(grant.context(None))()):
                    raise UploadRefused("its route signs with another key")
                return grant
        raise UploadRefused("the signature is wrong")
