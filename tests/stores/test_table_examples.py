"""What domains keep in tables: attribution contracts, SEO settings, metadata of media (SYS-28).

The examples of docs/TABLES.md, with what each of them needs to be true.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import anyio
import pytest

from eventspine.contracts.errors import PreconditionFailed
from eventspine.contracts.rows import Operation
from eventspine.services.spine import Spine
from eventspine.services.tabular import TabularStoreService, encoded
from tests.stores.conftest import CONTEXT, Opener

pytestmark = pytest.mark.anyio


# --- attribution: which touch of a campaign is credited, as agreed from a day on ---


async def contract_of(tables: TabularStoreService, campaign: str, day: str) -> Any:
    """The contract that held on a day: the last one that begins on it or before."""
    rows = await tables.list_by_prefix("attribution", f"{campaign}/")
    held = [row.data for row in rows if row.key.removeprefix(f"{campaign}/") <= day]
    return held[-1] if held else None


async def test_an_attribution_contract_holds_from_its_day_on(opener: Opener) -> None:
    async with opener() as spine:
        tables = spine.tables(CONTEXT)
        last = {"model": "last_touch", "window_d": 7}
        first = {"model": "first_touch", "window_d": 30}
        await tables.upsert("attribution", "spring/2026-03-01", last, if_version=0)
        await tables.upsert("attribution", "spring/2026-04-01", first, if_version=0)
        await tables.upsert("attribution", "spring-sale/2026-01-01", {"model": "linear"})
        with pytest.raises(PreconditionFailed):  # what was agreed is not agreed anew
            await tables.upsert("attribution", "spring/2026-03-01", first, if_version=0)
        days = {"2026-02-28": None, "2026-03-31": last, "2026-04-01": first, "2026-12-31": first}
        for day, contract in days.items():
            assert await contract_of(tables, "spring", day) == contract


# --- SEO: settings of a site by path, where the longest prefix decides ---


async def settings_of(tables: TabularStoreService, site: str, path: str) -> dict[str, Any]:
    """What holds for a path: the settings of each of its folders, the deeper ones before."""
    parts = path.strip("/").split("/") if path.strip("/") else []
    found: dict[str, Any] = {}
    for depth in range(len(parts) + 1):
        found |= await tables.get("seo", "/".join([site, *parts[:depth]])) or {}
    return found


async def test_seo_settings_of_a_path_are_those_of_its_folders(opener: Opener) -> None:
    async with opener() as spine:
        tables = spine.tables(CONTEXT)
        pages = {
            "example.com": {"title": "Example", "index": True},
            "example.com/shop": {"title": "Shop"},
            "example.com/shop/cart": {"index": False},
        }
        writes = [Operation(key, encoded(value)) for key, value in pages.items()]
        await tables.write("seo", writes)
        assert await settings_of(tables, "example.com", "/") == {"title": "Example", "index": True}
        cart = await settings_of(tables, "example.com", "/shop/cart")
        assert cart == {"title": "Shop", "index": False}
        await tables.delete("seo", "example.com/shop/cart")
        assert (await settings_of(tables, "example.com", "/shop/cart"))["index"] is True
        assert await settings_of(tables, "example.org", "/shop") == {}


# --- media: metadata beside the bytes, changed by several workers at once ---


async def note(spine: Spine, media: str, **found: Any) -> None:
    """Add what was found out about a medium; whoever was overtaken looks again."""
    tables = spine.tables(CONTEXT)
    while True:
        row = await tables.get_row("media", media)
        known, version = (row.data, row.version) if row else ({}, 0)
        try:
            await tables.upsert("media", media, {**known, **found}, if_version=version)
        except PreconditionFailed:
            continue
        return


async def test_workers_that_describe_one_medium_lose_nothing(opener: Opener) -> None:
    async with opener() as spine:
        await spine.objects(CONTEXT).put_object("media/xyz.pdf", b"%PDF-")
        async with anyio.create_task_group() as workers:
            for n in range(20):
                workers.start_soon(partial(note, spine, "xyz", **{f"page_{n}": n}))
        described = await spine.tables(CONTEXT).get("media", "xyz")
        assert described == {f"page_{n}": n for n in range(20)}
