"""A random request to every endpoint.

Rule: GENERATORS has one for each operation of the OpenAPI table, or WHOLE says why its answer is
everybody's; test_non_interference.py compares both with the table.
"""

from __future__ import annotations

from tests.tenancy.budget_requests import BUDGET
from tests.tenancy.drawing import Generator
from tests.tenancy.metric_requests import ANALYTICS, METRICS, VECTORS
from tests.tenancy.object_requests import OBJECTS
from tests.tenancy.route_requests import ROUTES
from tests.tenancy.row_requests import ROWS
from tests.tenancy.stream_requests import STREAMS

GENERATORS: dict[str, Generator] = {
    **STREAMS,
    **ROWS,
    **BUDGET,
    **METRICS,
    **ANALYTICS,
    **OBJECTS,
    **VECTORS,
    **ROUTES,
}

# What is no tenant's: the process as a whole, or the registry as a whole.
WHOLE: dict[str, str] = {
    "alive": "/healthz",
    "ready": "/readyz",
    "supervisor": "/v1/supervisor",
    "metrics": "/metrics",
    "planRoutes": "the registry as a whole",
    "applyRoutes": "the registry as a whole",
    "rollbackRoutes": "the registry as a whole",
    "watchRoutes": "the registry as a whole",
    "listSwitches": "the registry as a whole",
}
# Rows of the system tenant: shared by all tenants of an env and a project, on purpose.
SHARED = frozenset(name for name in ROWS if "Polic" in name)
