"""DeclaredSecrets: the secrets of the settings, read from their files and variables when needed.

Job: at the start every declared secret is looked at, so that a missing one is told then; a backend
that names one gets it when it is opened, so that a new value is taken with the next opening.
Rules: an error names the reference and where it should be; nothing of a value leaves this module
but as a Secret.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from eventspine.adapters.filesystem.disk import Disk
from eventspine.contracts.errors import SecretUnavailable
from eventspine.contracts.secrets import (
    SCHEME,
    SECRET_BYTES_MAX,
    Secret,
    SecretSource,
    name_of,
)
from eventspine.contracts.threads import Threads


class DeclaredSecrets:
    def __init__(
        self, declared: Mapping[str, SecretSource], root: Path, disk: Disk, threads: Threads
    ) -> None:
        self._declared = declared
        self._root = root
        self._disk = disk
        self._threads = threads

    def check_declared(self, references: Iterable[str]) -> None:
        """Raises SecretUnavailable for the first reference that the settings do not declare."""
        for reference in references:
            if name_of(reference) not in self._declared:
                raise _unavailable(reference, "it is not declared in settings.toml")

    async def check(self) -> None:
        """Look at every declared secret. Raises SecretUnavailable for one that is not there."""
        for name in self._declared:
            await self.secret(SCHEME + name)

    async def secret(self, reference: str) -> Secret:
        """The secret that a reference names. Raises SecretUnavailable."""
        self.check_declared([reference])
        source = self._declared[name_of(reference)]
        if source.variable is not None:
            value = os.environb.get(source.variable.encode())
            where = f"variable {source.variable}"
        else:
            assert source.file is not None, "a secret has one source"
            value = await self._threads.run_sync(self._read, reference, source.file)
            where = f"file {source.file}"
        if value is None:
            raise _unavailable(reference, f"{where} is not there")
        if not 1 <= len(value) <= SECRET_BYTES_MAX:
            raise _unavailable(reference, f"{where} does not hold 1 to {SECRET_BYTES_MAX} bytes")
        return Secret(reference, value)

    def _read(self, reference: str, file: str) -> bytes | None:
        """Without the newline at its end, which editors add."""
        try:
            data = self._disk.read_file(self._root / file)
        except OSError as error:
            raise _unavailable(reference, f"file {file}: {error.strerror}") from None
        return None if data is None else data.removesuffix(b"\n").removesuffix(b"\r")


def _unavailable(reference: str, why: str) -> SecretUnavailable:
    return SecretUnavailable(f"{reference}: {why}", reference=reference)
