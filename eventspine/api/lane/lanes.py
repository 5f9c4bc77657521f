"""The short ways of a server: what `Front` has beside the ordinary one, for our own protocol."""

from __future__ import annotations

from typing import NamedTuple

from eventspine.api.lane.append_lane import AppendLane
from eventspine.api.lane.page_lane import PageLane


class Lanes(NamedTuple):
    appends: AppendLane
    pages: PageLane
