"""Writing: bytes of an object that are on their way and have no key yet."""

from __future__ import annotations

from eventspine.contracts.stores import StreamCommit


class Writing:
    """Bytes under way: in a draft, or in a commit that goes with the record which names them.

    `committing`: the index has been asked to name them.
    """

    def __init__(self, blob: str) -> None:
        self.blob = blob
        self.size, self.sha256 = 0, ""  # once the bytes are whole
        self.commit: StreamCommit | None = None
        self.committing = False
