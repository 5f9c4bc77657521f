"""What can be asked of analytics events: a closed language, and nothing of it is SQL.

    {"from": "2026-11-01T00:00:00Z", "to": "2026-12-01T00:00:00Z",
     "events": ["purchase"], "where": {"country": {"in": ["DE", "AT"]}},
     "bucket": "day", "group_by": ["country", {"field": "event"}],
     "measures": [{"measure": "count"}, {"measure": "sum", "property": "price", "as": "revenue"}],
     "order": [{"column": "revenue", "descending": true}], "limit": 100}

Rules: the name of a column is looked up among those of the question. Times are from one on, and
before the other; buckets are of UTC, and a week begins on Monday. Source: DESIGN decision 14,
KIND-04.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, TypeVar, get_args

import orjson
from pydantic import (
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    ValidationError,
    model_validator,
)

from eventspine.contracts.analytics_selection import (
    Dimension,
    Name,
    Part,
    Selection,
    Step,
    Time,
    Whole,
    column_of,
)
from eventspine.contracts.errors import InvalidJson, InvalidRequest

EVENTS_MAX = 100
GROUPS_MAX = 8
MEASURES_MAX = 16
STEPS_MAX = 16
WINDOW_S = 86_400
WINDOW_S_MAX = 366 * 86_400
TOUCH_WINDOW_S = 30 * 86_400
PERIODS = 7
PERIODS_MAX = 60
ROWS_DEFAULT = 1000

Bucket = Literal["minute", "hour", "day", "week"]
Period = Literal["day", "week"]
AttributionModel = Literal["first", "last", "linear"]
BUCKETS: tuple[str, ...] = get_args(Bucket)
MODELS: tuple[str, ...] = get_args(AttributionModel)
PERIOD_NAMES: tuple[str, ...] = get_args(Period)
TIME_COLUMN = "time"


class Counting(Part):
    """`count` of events, or `users`: how many different people (or anonymous ids) they are of."""

    measure: Literal["count", "users"]
    as_: Name | None = Field(None, alias="as")


class Summary(Part):
    """Of the numbers of a property; whatever else it holds is left out."""

    measure: Literal["sum", "avg", "min", "max"]
    property: Name
    as_: Name | None = Field(None, alias="as")


class Percentile(Part):
    """Exact, interpolated between neighbours."""

    measure: Literal["percentile"]
    property: Name
    percent: Annotated[StrictInt | StrictFloat, Field(ge=0, le=100)]
    as_: Name | None = Field(None, alias="as")


def _counted() -> list[Counting | Summary | Percentile]:
    return [Counting(measure="count")]


Measure = Annotated[Counting | Summary | Percentile, Field(discriminator="measure")]


class Order(Part):
    column: StrictStr
    descending: StrictBool = False


class _Asked(Part):
    from_: Time | None = Field(None, alias="from")
    to: Time | None = None
    limit: Annotated[Whole, Field(ge=1)] | None = None

    @property
    def start(self) -> datetime | None:
        """UTC, without saying so."""
        return _utc(self.from_, "from")

    @property
    def end(self) -> datetime | None:
        """As `start`."""
        return _utc(self.to, "to")


class Query(_Asked, Selection):
    """Rows of groups and measures."""

    events: Annotated[list[Name], Field(max_length=EVENTS_MAX)] | None = None
    bucket: Bucket | None = None
    group_by: Annotated[list[Dimension], Field(max_length=GROUPS_MAX)] = Field(default_factory=list)
    measures: Annotated[list[Measure], Field(min_length=1, max_length=MEASURES_MAX)] = Field(
        default_factory=_counted
    )
    order: Annotated[list[Order], Field(max_length=GROUPS_MAX)] = Field(default_factory=list)

    @property
    def columns(self) -> list[str]:
        """The names of the columns, in the order of a row."""
        time = [] if self.bucket is None else [TIME_COLUMN]
        groups = [column_of(dimension) for dimension in self.group_by]
        return [*time, *groups, *(measured(measure) for measure in self.measures)]

    @model_validator(mode="after")
    def _columns(self) -> Query:  # noqa: N804 - of the instance: mode is after
        columns = self.columns
        for name in columns:
            if columns.count(name) > 1:
                raise ValueError(f"two columns are called {name[:64]!r}; name one with `as`")
        for one in self.order:
            if one.column not in columns:
                raise ValueError(f"order: there is no column {one.column[:64]!r}")
        return self


class Funnel(_Asked):
    """How many people take steps in this order, each later than the one before it."""

    steps: Annotated[list[Step], Field(min_length=1, max_length=STEPS_MAX)]
    window_s: Annotated[StrictInt | StrictFloat, Field(gt=0, le=WINDOW_S_MAX)] = WINDOW_S
    breakdown: Dimension | None = None


class Retention(_Asked):
    """Of the people who begin in a period, how many come back in each of those behind it."""

    begin: Step
    back: Step
    period: Period = "day"
    periods: Annotated[Whole, Field(ge=1, le=PERIODS_MAX)] = PERIODS


class Attribution(_Asked):
    """Which touches conversions are owed to. `from` and `to` are about the conversions."""

    touch: Step
    conversion: Step
    by: Dimension
    model: AttributionModel = "last"
    window_s: Annotated[StrictInt | StrictFloat, Field(gt=0, le=WINDOW_S_MAX)] = TOUCH_WINDOW_S
    value: Name | None = None


Q = TypeVar("Q", Query, Funnel, Retention, Attribution)


def measured(measure: Counting | Summary | Percentile) -> str:
    """The name of its column."""
    if measure.as_ is not None:
        return measure.as_
    if isinstance(measure, Counting):
        return measure.measure
    if isinstance(measure, Percentile):
        return f"p{measure.percent:g}_{measure.property}"
    return f"{measure.measure}_{measure.property}"


def asked(model: type[Q], stated: object) -> Q:
    """A question as a program or a body states it. Raises InvalidRequest, InvalidJson."""
    if isinstance(stated, model):
        return stated
    if isinstance(stated, bytes):
        try:
            stated = orjson.loads(stated)
        except orjson.JSONDecodeError as error:
            raise InvalidJson(f"the body is not JSON: {error}") from None
    try:
        return model.model_validate(stated)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(_place(first["loc"], stated, missing=first["type"] == "missing"))[:200]
        says = first["msg"].removeprefix("Value error, ")
        raise InvalidRequest(
            f"{where}: {says}" if where else says, parameter=where or None
        ) from None


def _place(path: tuple[int | str, ...], stated: Any, *, missing: bool) -> Iterator[str]:
    """Where in the question it is, without the names of our types on the way.

    Args:
        missing: the last step is what should be there.
    """
    for n, step in enumerate(path, 1):
        try:
            stated = stated[step]
        except (KeyError, IndexError, TypeError):
            if not (missing and n == len(path)):
                continue
        yield str(step)


def _utc(time: datetime | None, name: str) -> datetime | None:
    try:
        return None if time is None else time.astimezone(UTC).replace(tzinfo=None)
    except OverflowError:
        raise InvalidRequest(f"{name} is out of range", parameter=name) from None


class Answer(Part):
    """Rows of values by column. `more`: there were more rows than the limit.

    `head`: the cursor of the last event that was looked at: all that was acknowledged when asked.
    """

    columns: list[str]
    rows: list[list[Any]]
    more: bool
    head: str
