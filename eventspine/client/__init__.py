"""The typed async client of an eventspine server."""

from eventspine.client.client import EventspineClient
from eventspine.client.delivery import End, Gap, TailEvent, TailItem
from eventspine.client.errors import BadAnswer, ServerUnreachable, StreamHole
from eventspine.client.retry_policy import RetryPolicy

__all__ = [
    "BadAnswer",
    "End",
    "EventspineClient",
    "Gap",
    "RetryPolicy",
    "ServerUnreachable",
    "StreamHole",
    "TailEvent",
    "TailItem",
]
