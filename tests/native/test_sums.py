"""The compiled CRC-32 is zlib's, whichever way the processor takes; pages are spliced alike."""

from __future__ import annotations

import random
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventspine.contracts import lines
from eventspine.contracts.lines import LineBlock

SEED = 20261129


@pytest.mark.parametrize("folding", [True, False])
def test_of_every_short_length_and_some_long_ones(core: Any, folding: bool) -> None:
    source = random.Random(SEED)
    for size in (*range(300), 4095, 4096, 65_537, 490_001):
        data = source.randbytes(size)
        assert core.crc32(data, folding) == zlib.crc32(data), f"seed {SEED}, {size} bytes"


@given(data=st.binary(max_size=400), start=st.integers(0, 70))
def test_of_any_bytes_wherever_they_begin(core: Any, data: bytes, start: int) -> None:
    piece = memoryview(data)[start:]
    assert core.crc32(piece) == core.crc32(piece, False) == zlib.crc32(piece)


def test_takes_bytes_alone(core: Any) -> None:
    with pytest.raises(TypeError):
        core.crc32("text")
    with pytest.raises(TypeError):
        core.crc32()


@given(stored=st.lists(st.binary().map(lambda b: b.replace(b"\n", b"")), min_size=1))
def test_lines_are_spliced_as_they_are_in_python(stored: list[bytes]) -> None:
    data = b"\n".join([*stored, b""])
    block = LineBlock(data, 0, len(data), len(stored))
    assert block.inside(b"[", b"]") == b"[" + b",".join(stored) + b"]"


def test_splicing_refuses_what_is_no_line(core: Any) -> None:
    joined = core.joined_lines
    for start, end in ((0, 0), (2, 1), (-1, 1), (0, 4)):
        with pytest.raises(ValueError, match="takes a line at least"):
            joined(b"", b"ab\n", start, end, b"")
    with pytest.raises(TypeError):
        joined(b"", "ab\n", 0, 3, b"")
    assert lines.inside(b"(", LineBlock(b"", 0, 0, 0), b")") == b"()"


def test_memory_is_kept_only_in_sizes_that_are_some(core: Any) -> None:
    keep = core.keep_blocks
    for sizes in ((-1, 0), (0, -1), (1 << 31, 0)):
        with pytest.raises(ValueError, match="2 GiB"):
            keep(*sizes)
    with pytest.raises(TypeError):
        keep(1)


@given(
    stored=st.lists(st.binary(max_size=9).map(lambda b: b.replace(b"\n", b"")), max_size=30),
    data=st.data(),
)
def test_a_line_is_found_from_either_end(core: Any, stored: list[bytes], data: Any) -> None:
    text = b"".join([line + b"\n" for line in stored])
    first = data.draw(st.integers(0, len(stored)))
    place = sum(len(line) + 1 for line in stored[:first])
    assert core.place_of_line(text, first, False) == place
    assert core.place_of_line(text, len(stored) - first, True) == place
    for from_end in (False, True):
        with pytest.raises(ValueError, match="fewer lines"):
            core.place_of_line(text, len(stored) + 1, from_end)


@given(count=st.integers(1, 40), data=st.data())
def test_a_block_is_cut_out_as_it_is_in_python(count: int, data: Any) -> None:
    stored = [b"%d" % n * (n % 5) for n in range(count)]
    skip = data.draw(st.integers(0, count))
    take = data.draw(st.integers(0, count - skip))
    text = b"".join([line + b"\n" for line in stored])
    assert lines.block_of(text, skip, take, count) == stored[skip : skip + take]
