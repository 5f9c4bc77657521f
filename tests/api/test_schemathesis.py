"""Schemathesis over the served OpenAPI document: what it says is true, for good and bad data.

Its pytest plugin does not work with this pytest, so the strategies are run by hand.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.config import SchemathesisConfig
from schemathesis.specs.openapi.checks import positive_data_acceptance

from eventspine.api.context import HEADERS
from eventspine.api.fields import shown
from eventspine.api.operations import OPERATIONS
from tests.api.serving import LAB, Served, settings_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

CONFIG = SchemathesisConfig.from_dict(
    {
        "seed": 20261122,
        "checks": {
            # a good request for a position, stream or route that is not there is still refused
            "positive_data_acceptance": {
                "expected-statuses": ["2xx", "402", "403", "404", "409", "410", "412"],
            },
            # too much of something is refused as such
            "negative_data_rejection": {
                "expected-statuses": [
                    *("400", "401", "403", "404", "405", "406", "409"),
                    *("413", "415", "422", "428", "429", "5xx"),
                ],
            },
        },
    }
)
# The live addresses do not end; test_tail_http.py is for them.
CASES = [
    pytest.param(row, mode, id=f"{row.name}-{mode.value}")
    for row in OPERATIONS
    for mode in GenerationMode
    if not row.path.endswith(("/sse", "/watch"))
    and (mode is GenerationMode.POSITIVE or row.parameters or row.context or "{" in row.path)
]
# Good requests are about streams that have a route; bad ones may be about anything.
IN_LAB = {shown(HEADERS[name]): value for name, value in LAB.model_dump().items()}
BOUNDED = settings(
    max_examples=15,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module")
def schema(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    limits = settings_of(long_poll_s_max=0.01, body_bytes_max=256 * 1024)
    with Served(tmp_path_factory.mktemp("root"), limits) as server:
        yield schemathesis.openapi.from_url(f"{server.url}/openapi.json", config=CONFIG)


@pytest.mark.parametrize(("row", "mode"), CASES)
def test_the_served_description_is_true(schema: Any, row: Any, mode: GenerationMode) -> None:
    operation = schema[row.path][row.method.upper()]
    # which backends there are, and what their config may hold, is not in the schema
    # budgets and batches of rows refuse 1.0, which JSON Schema takes for an integer; tags, steps
    # and names of metrics have rules that a schema does not say, as the names of columns have
    free = row.tag in ("routes", "budget", "metrics") or row.name in (
        "query",
        "queryAnalytics",
        "writeRows",
    )
    excluded: list[Any] = [positive_data_acceptance] if free else []

    @BOUNDED
    @given(case=operation.as_strategy(generation_mode=mode))
    def true(case: schemathesis.Case[Any]) -> None:
        if row.context and mode is GenerationMode.POSITIVE:
            case.headers.update(IN_LAB)
        case.call_and_validate(excluded_checks=excluded, timeout=20)

    true()
