"""The same operations for code without a loop."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

import eventspine
from eventspine.contracts.context import RequestContext
from eventspine.contracts.errors import PreconditionFailed, StreamClosed

CONTEXT = RequestContext(tenant_id="t_demo", env="dev", mode="lab")
NOTE = {"event_type": "note", "payload": {"text": "hi"}}


def test_streams(tmp_path: Path) -> None:
    with eventspine.open_blocking(tmp_path, lab=True) as spine:
        first = spine.append("s", NOTE, CONTEXT)
        many = spine.append_batch("s", [NOTE] * 3, CONTEXT, expected=str(first.head))
        assert many.sequences == [2, 3, 4]
        page = spine.list_after("s", first.event_id, CONTEXT, limit=2)
        assert [event.sequence for event in page.events] == [2, 3]
        assert spine.head("s", CONTEXT).cursor == many.head
        spine.close_stream("s", CONTEXT)
        assert [n.sequence for piece in spine.tail("s", CONTEXT) for n in piece.events] == [
            1,
            2,
            3,
            4,
        ]
        with pytest.raises(StreamClosed):
            spine.append("s", NOTE, CONTEXT)
        spine.delete_stream("s", CONTEXT)
        assert spine.list_after("s", None, CONTEXT).lines == []


def test_the_other_kinds(tmp_path: Path) -> None:
    with eventspine.open_blocking(tmp_path, lab=True) as spine:
        tables = spine.tables(CONTEXT)
        row = tables.upsert("policies", "p1", {"limit": 5})
        with pytest.raises(PreconditionFailed):
            tables.upsert("policies", "p1", {"limit": 6}, if_version=row.version + 1)
        assert tables.get("policies", "p1") == {"limit": 5}
        spine.memory(CONTEXT).set("u1", [1])
        assert spine.memory(CONTEXT).get("u1") == [1]
        spine.budget(CONTEXT).record("call-1", "acme", 7)
        assert spine.budget(CONTEXT).balance("acme").posted == 7
        spine.metrics_store(CONTEXT).ingest("north_star", 0.5)
        assert spine.metrics_store(CONTEXT).get_latest("north_star").value == 0.5
        spine.vectors(CONTEXT).create_collection("notes", 2)
        spine.vectors(CONTEXT).upsert("notes", "n1", [1.0, 0.0])
        objects = spine.objects(CONTEXT)
        objects.put_object("a/b", b"bytes" * 100_000)
        assert objects.get_object("a/b") == b"bytes" * 100_000
        assert objects.uri("a/b").endswith("a%2fb")
        with pytest.raises(AttributeError):
            objects.no_such_method  # noqa: B018


def test_any_thread_may_call(tmp_path: Path) -> None:
    with eventspine.open_blocking(tmp_path, lab=True) as spine:
        threads = [
            threading.Thread(target=spine.append, args=("s", NOTE, CONTEXT)) for _ in range(20)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        page = spine.list_after("s", None, CONTEXT)
        assert [event.sequence for event in page.events] == list(range(1, 21))
