"""Surfaces: where in a product an event belongs, and the alias table that names each one way.

Surfaces alone are normalised (SURF-01 … SURF-05): `SQUARED²`, `SQUARED` and `squared` are
`squared2`; a surface that no alias names is kept as it is written. `_` is the default surface.
"""

from __future__ import annotations

from collections.abc import Mapping

DEFAULT_SURFACE = "_"
SURFACE_ALIASES: Mapping[str, str] = {
    "SQUARED²": "squared2",
    "SQUARED": "squared2",
    "squared": "squared2",
    "squared²": "squared2",
}


def canonical_surface(surface: str | None, aliases: Mapping[str, str] = SURFACE_ALIASES) -> str:
    """The canonical name of a surface; the default surface for None or an empty text."""
    if not surface:
        return DEFAULT_SURFACE
    return aliases.get(surface, surface)
