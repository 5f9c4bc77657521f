"""Lines as they lie are the lines."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from eventspine.contracts.lines import LineBlock, block_of, count_lines, inside

LINES = st.lists(st.binary(max_size=6).map(lambda data: data.replace(b"\n", b"") + b"}"))


@given(LINES, st.data())
def test_a_block_is_the_list_of_its_lines(lines: list[bytes], data: st.DataObject) -> None:
    skip = data.draw(st.integers(0, len(lines)))
    count = data.draw(st.integers(0, len(lines) - skip))
    whole = b"".join(line + b"\n" for line in lines)
    block, wanted = block_of(whole, skip, count, len(lines)), lines[skip : skip + count]
    assert count_lines(whole) == len(lines)
    assert block == wanted
    assert block != [*wanted, b"}"]
    assert block == block_of(whole, skip, count, len(lines))
    assert list(block) == wanted == block[:]
    assert (len(block), bool(block), block.size) == (count, count > 0, sum(map(len, wanted)))
    assert [*block[1:], *block[:1]] == wanted[1:] + wanted[:1]
    assert inside(b"[", block, b"]") == inside(b"[", wanted, b"]")
    assert repr(block) == f"LineBlock({wanted!r})"


def test_an_empty_block_is_an_empty_list() -> None:
    block = LineBlock(b"", 0, 0, 0)
    assert (list(block), block.size, inside(b"[", block, b"]")) == ([], 0, b"[]")
    assert not block
