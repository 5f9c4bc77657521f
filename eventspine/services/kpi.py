"""FileKpiRepository: what recorded KPIs before there were routes, over the metrics store.

    repository = default_kpi_repo(spine, context)
    await repository.record("north_star", 0.42, tags={"team": "growth"})
    await repository.latest("north_star")
    await repository.list("north_star")

Its name is from the time when it wrote files itself; where its points are is now for the route of
kind `metrics_store` to say. Source: CLS-23, FN-23, SYS-27.
"""

from __future__ import annotations

import builtins
from collections.abc import Mapping

from eventspine.contracts.context import RequestContext
from eventspine.contracts.metrics import Number, Point
from eventspine.contracts.route import ResourceKind
from eventspine.services.metrics import MetricsStoreService
from eventspine.services.spine import Spine


class FileKpiRepository:
    def __init__(self, metrics: MetricsStoreService) -> None:
        self._metrics = metrics

    async def record(
        self,
        name: str,
        value: Number,
        *,
        tags: Mapping[str, str] | None = None,
        source: str | None = None,
    ) -> Point:
        """Store the value a KPI has now."""
        return await self._metrics.ingest(name, value, tags=tags, source=source)

    async def list(self, name: str) -> builtins.list[Point]:
        """The values a KPI had, in the order of time; the newest where there are very many."""
        return await self._metrics.query(name)

    async def latest(self, name: str) -> Point | None:
        """The value a KPI has, or None if it never had one."""
        return await self._metrics.get_latest(name)


def default_kpi_repo(spine: Spine, context: RequestContext) -> FileKpiRepository:
    """The repository of a scope.

    Raises:
        NoRouteConfigured: `No route configured for metrics_store`.
    """
    scope = context.scope
    spine.routes.get_route(
        ResourceKind.METRICS_STORE.value,
        scope.tenant_id,
        scope.env,
        scope.project_id,
        scope.mode,
    )
    return FileKpiRepository(spine.metrics_store(context))
