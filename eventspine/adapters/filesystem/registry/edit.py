"""What people write into the file of the registry: read with more patience than its own text.

Rules: an editor may leave out what the registry adds to a row (revision, updated_at, updated_by),
and what it leaves in of it is not believed. `revision` says which registry was edited; the name of
an exported file for it, `serial`, means the same. An edit that is refused is kept beside:

    routes.refused-7.json                an edit that came when the registry was at revision 7
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from eventspine.adapters.filesystem.disk import Disk
from eventspine.contracts.errors import InvalidRoute
from eventspine.contracts.registry import RegistryImage
from eventspine.contracts.route import ResourceRoute
from eventspine.contracts.route_file import RouteFile, checked_file

ADDED = ("revision", "updated_at", "updated_by")
REFUSED = "routes.refused-*.json"


def edited_file(data: bytes | None) -> RouteFile:
    """An edit as a file of routes. Raises InvalidRoute saying what is wrong with it."""
    if data is None:
        raise InvalidRoute("the file is not there")
    try:
        members = json.loads(data)
    except ValueError as error:
        raise InvalidRoute(f"the file is not JSON: {error}") from None
    if not isinstance(members, dict):
        raise InvalidRoute("the file must hold a JSON object")
    stated = {name: value for name, value in members.items() if name not in ("revision", "serial")}
    serial = members.get("revision", members.get("serial"))
    routes = stated.get("routes")
    if isinstance(routes, list):
        stated["routes"] = [_asked(row) for row in routes]
    return checked_file({**stated, "serial": serial})


def edited_image(data: bytes) -> RegistryImage:
    """An edit of a root that was not open, completed. Raises InvalidRoute."""
    file, now = edited_file(data), datetime.now(UTC)
    if file.serial is None:
        raise InvalidRoute("the file names no revision")
    added = {"revision": max(file.serial, 1), "updated_at": now}
    rows = (
        ResourceRoute.model_validate({**spec.model_dump(), **added})
        for spec in file.by_key().values()
    )
    return RegistryImage(file.serial, tuple(rows))


def _asked(row: Any) -> Any:
    if not isinstance(row, dict):
        return row
    return {name: value for name, value in row.items() if name not in ADDED}


def refused_path(file: Path, revision: int, disk: Disk) -> Path:
    """A name beside the file that nothing has yet."""
    path, number = file.with_name(f"routes.refused-{revision}.json"), 1
    while disk.exists(path):
        number += 1
        path = file.with_name(f"routes.refused-{revision}-{number}.json")
    return path
