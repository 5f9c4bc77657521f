"""Descriptors that are in use when their store ends."""

from __future__ import annotations

from eventspine.adapters.filesystem.streams.open_streams import OpenStream, OpenStreams


def test_what_is_opened_after_the_end_is_closed_when_it_is_given_back() -> None:
    closed: list[int] = []
    opened = OpenStreams(lambda key: OpenStream(3, 4), closed.append, 8)
    with opened.lease("early"):
        opened.close()
        assert closed == []
        with opened.lease("late") as files:
            assert files is not None
        assert closed == [3, 4]
    assert closed == [3, 4, 3, 4]
    assert len(opened) == 0
