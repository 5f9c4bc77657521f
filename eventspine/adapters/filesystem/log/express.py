"""The express of the commit log: a record that fits into its segment, made durable on a device.

Everything that may have to wait (another segment, a log that is as long as it may be) goes the
ordinary way. Source: contracts/express.py.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from eventspine.adapters.filesystem.disk import Disk
from eventspine.adapters.filesystem.log.commit_log import CommitLog
from eventspine.contracts.express import Device
from eventspine.contracts.stores import StreamCommit
from eventspine.contracts.threads import Threads
from eventspine.native import core


class LogExpress:
    """Args:
    ready: whether the log may grow now; told that a batch is about to come.
    durable: counts a batch in that the log has.
    """

    def __init__(
        self,
        device: Device,
        commit_log: CommitLog,
        ready: Callable[[], bool],
        durable: Callable[[Sequence[StreamCommit]], None],
    ) -> None:
        self.device = device
        self._log = commit_log
        self._ready = ready
        self._durable = durable

    def begin(self, batch: Sequence[StreamCommit]) -> bool:
        return self._ready() and self._log.begin(batch, self.device)

    def finish(self, batch: Sequence[StreamCommit]) -> None:
        self._log.landed(*self.device.finish())
        self._durable(batch)


def device_of(disk: Disk, threads: Threads) -> Device | None:
    """The compiled one on the real disk, the simulation's on a simulated one; or none."""
    device = threads.device(disk.write_sealed)
    if device is None and core is not None and type(disk) is Disk:
        device = core.Express()
    return device
