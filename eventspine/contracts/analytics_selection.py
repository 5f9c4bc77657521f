"""Which analytics events are meant, and by what they are told apart: parts of every question.

    "where":  {"country": {"in": ["DE", "AT"]}, "price": {"gte": 5}, "coupon": {"exists": false}}
    "fields": {"user_id": "u1"}

Rules: every name of a client's is data: it is compared, never pasted. A plain value has to be
equal: 1 is 1.0, and neither "1" nor true. What an event does not have, or has as null, matches
`exists: false` and nothing else. Ranges compare numbers with numbers and text with text. Grouping
by a plain name is by a property; a name the event has itself could mean either, and is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Literal, get_args

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    PlainValidator,
    StrictBool,
    StrictInt,
    StrictStr,
    Tag,
    model_validator,
)

from eventspine.contracts.analytics_event import canonical
from eventspine.contracts.errors import EventspineError
from eventspine.contracts.ids import checked_id

CONDITIONS_MAX = 32
CHOICES_MAX = 1000

FieldName = Literal["event", "user_id", "anonymous_id", "session_id"]
FIELDS: tuple[str, ...] = get_args(FieldName)
AMBIGUOUS = (*FIELDS, "event_id", "time")  # as the plain name of a property: it is the event's own
RANGES = ("gt", "gte", "lt", "lte")


def _id(value: str) -> str:
    try:
        return checked_id(value, "a name")
    except EventspineError as error:
        raise ValueError(error.detail) from None


def _time(value: object) -> object:
    if not isinstance(value, str | datetime):
        raise ValueError("must be a time, ISO 8601 with a zone")
    return value


def _text(value: str) -> str:
    if not value.isascii() and any("\ud800" <= c <= "\udfff" for c in value):
        raise ValueError("holds a lone surrogate")
    return value


def _plain(name: str) -> str:
    if name not in AMBIGUOUS:
        return name
    own = "`bucket` groups by time" if name == "time" else "each event has its own"
    if name in FIELDS:
        own = f'write {{"field": "{name}"}} for the event\'s own'
    raise ValueError(
        f'"{name}" may mean the event or a property: {own},'
        f' write {{"property": "{name}"}} for a property of that name'
    )


def _value(value: object) -> object:
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, bool):
        return value
    if not isinstance(value, int | float):
        raise ValueError("must be a string, a number or a boolean")
    try:
        return canonical(value)
    except EventspineError as error:
        raise ValueError(error.detail) from None


def _bound(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("must be a number or a string")
    return _value(value)


def _whole(value: object) -> object:
    """3.0 is an integer of JSON Schema as well as 3."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _shape(value: object) -> str:
    return "<stated>" if isinstance(value, Mapping | BaseModel) else "<plain>"


def _kind(value: object) -> str:
    if isinstance(value, Mapping):
        return "<field>" if "field" in value else "<property>"
    if isinstance(value, BaseModel):
        return "<field>" if isinstance(value, FieldColumn) else "<property>"
    return "<plain>"


Text = Annotated[StrictStr, AfterValidator(_text)]
Name = Annotated[StrictStr, AfterValidator(_id)]
PlainName = Annotated[Name, AfterValidator(_plain)]
Time = Annotated[AwareDatetime, BeforeValidator(_time)]
Whole = Annotated[StrictInt, BeforeValidator(_whole)]
Value = Annotated[bool | int | float | str, PlainValidator(_value)]
Limit = Annotated[int | float | str, PlainValidator(_bound)]


class Part(BaseModel):
    """A part of a question: nothing that is not named here."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, validate_by_name=True, validate_by_alias=True
    )


class _Condition(Part):
    exists: StrictBool | None = None

    @model_validator(mode="after")
    def _says_something(self) -> _Condition:  # noqa: N804 - of the instance: mode is after
        if all(value is None for _, value in self):
            raise ValueError("a condition needs eq, in, gt, gte, lt, lte or exists")
        return self


class Condition(_Condition):
    """What the value of a property has to be; all that is stated holds."""

    eq: Value | None = None
    in_: Annotated[list[Value], Field(max_length=CHOICES_MAX)] | None = Field(None, alias="in")
    gt: Limit | None = None
    gte: Limit | None = None
    lt: Limit | None = None
    lte: Limit | None = None


class TextCondition(_Condition):
    """The same for a field, which is text."""

    eq: Text | None = None
    in_: Annotated[list[Text], Field(max_length=CHOICES_MAX)] | None = Field(None, alias="in")
    gt: Text | None = None
    gte: Text | None = None
    lt: Text | None = None
    lte: Text | None = None


_Where = Annotated[
    Annotated[Value, Tag("<plain>")] | Annotated[Condition, Tag("<stated>")],
    Discriminator(_shape),
]
_Fields = Annotated[
    Annotated[Text, Tag("<plain>")] | Annotated[TextCondition, Tag("<stated>")],
    Discriminator(_shape),
]


class Selection(Part):
    """Which events: `where` is about properties, `fields` about what every event may have."""

    where: Annotated[dict[Name, _Where], Field(max_length=CONDITIONS_MAX)] = Field(
        default_factory=dict
    )
    fields: dict[FieldName, _Fields] = Field(default_factory=dict)


class Step(Selection):
    """Events of one name: a step of a funnel, or a side of a retention."""

    event: Name


class PropertyColumn(Part):
    """A group for each value of a property; null for events that do not have it."""

    property: Name
    as_: Name | None = Field(None, alias="as")


class FieldColumn(Part):
    """A group for each value of a field."""

    field: FieldName
    as_: Name | None = Field(None, alias="as")


Dimension = Annotated[
    Annotated[PlainName, Tag("<plain>")]
    | Annotated[PropertyColumn, Tag("<property>")]
    | Annotated[FieldColumn, Tag("<field>")],
    Discriminator(_kind),
]


def column_of(dimension: str | PropertyColumn | FieldColumn) -> str:
    """The name of its column."""
    if isinstance(dimension, str):
        return dimension
    if dimension.as_ is not None:
        return dimension.as_
    return dimension.property if isinstance(dimension, PropertyColumn) else dimension.field
