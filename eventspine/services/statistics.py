"""Numbers of a running spine: what an operator watches, as frozen values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from eventspine.actors.circuit import Circuit
from eventspine.actors.host import StreamHost
from eventspine.contracts.circuit import CIRCUIT_STATES
from eventspine.contracts.route import ResourceRoute
from eventspine.contracts.stores import StoreStatistics
from eventspine.runtime.commit_count import WriterStatistics
from eventspine.runtime.statistics import DirectoryStatistics
from eventspine.runtime.tree import SupervisorTree
from eventspine.services.audit_queue import AuditStatistics
from eventspine.services.switching.statistics import SwitchStatistics


@dataclass(frozen=True, slots=True)
class CircuitStatistics:
    """Of one backend: one of the states is 1, the others 0."""

    closed: int
    open: int
    half_open: int
    failures_in_a_row: int
    opened: int


@dataclass(frozen=True, slots=True)
class HostStatistics:
    """One open backend. `writer` and `store` are None while it is not open."""

    name: str
    up: bool
    cells: DirectoryStatistics
    writer: WriterStatistics | None
    store: StoreStatistics | None
    readers: int
    long_polls: int
    circuit: CircuitStatistics


@dataclass(frozen=True, slots=True)
class ServiceStatistics:
    """One supervised service, named by its path in the tree."""

    name: str
    running: bool
    restarts: int
    outages: int


@dataclass(frozen=True, slots=True)
class SpineStatistics:
    hosts: tuple[HostStatistics, ...] = ()
    services: tuple[ServiceStatistics, ...] = ()
    routes: int = 0
    routes_by_backend: dict[str, int] = field(default_factory=dict)
    routes_stale: int = 0
    routes_by_circuit: dict[str, int] = field(default_factory=dict)
    route_files_refused: int = 0
    audit: AuditStatistics = AuditStatistics()  # noqa: RUF009 - frozen
    switches: tuple[SwitchStatistics, ...] = ()

    @classmethod
    def of(
        cls,
        hosts: Iterable[StreamHost],
        tree: SupervisorTree,
        routes: Iterable[ResourceRoute],
        stale: int = 0,
        by_circuit: dict[str, int] | None = None,
        files_refused: int = 0,
        audit: AuditStatistics = AuditStatistics(),  # noqa: B008 - frozen
        switches: tuple[SwitchStatistics, ...] = (),
    ) -> SpineStatistics:
        by_backend: dict[str, int] = {}
        for route in routes:
            backend = route.backend or route.backend_type
            by_backend[backend] = by_backend.get(backend, 0) + 1
        return cls(
            tuple(_host(host) for host in sorted(hosts, key=lambda host: host.name)),
            tuple(_services(tree, tree.name)),
            sum(by_backend.values()),
            by_backend,
            stale,
            by_circuit or {},
            files_refused,
            audit,
            switches,
        )


def _host(host: StreamHost) -> HostStatistics:
    return HostStatistics(
        host.name,
        host.store is not None,
        host.directory.statistics(),
        host.writer.statistics() if host.writer else None,
        host.store.statistics() if host.store else None,
        len(host.readers),
        host.long_polls,
        _circuit(host.health.circuit),
    )


def _circuit(circuit: Circuit) -> CircuitStatistics:
    closed, opened, half_open = (int(circuit.state == state) for state in CIRCUIT_STATES)
    return CircuitStatistics(closed, opened, half_open, circuit.failures, circuit.opens)


def _services(tree: SupervisorTree, path: str) -> Iterator[ServiceStatistics]:
    for child in tree.children:
        name = f"{path}/{child.name}"
        yield ServiceStatistics(name, child.state == "running", child.restarts, child.outages)
        if child.below is not None:
            yield from _services(child.below, name)
