"""The bytes of the log and of the index."""

from __future__ import annotations

import struct
from hashlib import sha256
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventspine.adapters.filesystem.log import record
from eventspine.adapters.filesystem.log.seal import Seal, decode_seal, encode_seal
from eventspine.adapters.filesystem.streams import runs
from eventspine.contracts.stores import CommitKind, StreamCommit

LINES = st.lists(st.binary(max_size=60), max_size=6)
COMMITS = st.builds(
    StreamCommit,
    st.text(st.characters(exclude_categories=["Cs"]), max_size=40),
    st.text("abc", max_size=31),
    st.integers(0, 2**32 - 1),
    st.integers(0, 2**64 - 1),
    LINES,
    st.sampled_from(list(CommitKind)),
)
CHAINS = st.binary(min_size=32, max_size=32)


@given(st.lists(COMMITS, max_size=6))
def test_entries_come_back(batch) -> None:
    data = record.encode_entries(batch)
    assert record.decode_entries(data, len(batch)) == batch
    with pytest.raises(ValueError, match="left over"):
        record.decode_entries(data + b"x", len(batch))


@given(st.integers(1, 2**64 - 1), st.binary(max_size=90), CHAINS)
def test_a_record_head_comes_back_and_no_other_bytes_pass_for_one(lsn, data, chain) -> None:
    whole = record.encode_record(lsn, 3, data, chain)
    assert record.decode_record_head(whole) == (lsn, len(data), 3, chain)
    assert list(record.heads_in(b"junk" + whole, 0)) == [(4, (lsn, len(data), 3, chain))]
    for at in range(record.RECORD_HEAD_BYTES):
        broken = bytearray(whole)
        broken[at] ^= 0x40
        assert record.decode_record_head(bytes(broken)) is None


@given(st.integers(0, 2**64 - 1), CHAINS)
def test_heads_and_seals_come_back(lsn, chain) -> None:
    assert record.decode_head(record.encode_head(lsn, chain)) == (lsn, chain)
    assert decode_seal(encode_seal(Seal(lsn, chain))) == Seal(lsn, chain)
    assert decode_seal(encode_seal(Seal(lsn, chain))[:-1]) == Seal()
    assert record.decode_head(record.encode_head(lsn, chain)[:-1]) is None


def test_a_payload_cannot_pass_for_a_record() -> None:
    """JSON holds no NUL byte, so a head without its zeros is somebody's text, checksum or not."""
    body = struct.pack("<QII8s32s", 0x2020202020202020, 0x20202020, 0x20202020, b"x" * 8, b"x" * 32)
    forged = record.RECORD_MAGIC + struct.pack("<I", crc32(body)) + body
    assert record.decode_record_head(forged) is None


@given(CHAINS, st.integers(1, 9), st.binary(max_size=40))
def test_the_chain_says_every_part(chain, lsn, data) -> None:
    mine = record.next_chain(chain, lsn, 1, data)
    assert mine != record.next_chain(chain, lsn + 1, 1, data)
    assert mine != record.next_chain(chain, lsn, 2, data)
    assert mine != record.next_chain(chain, lsn, 1, data + b"\0")
    assert mine != record.next_chain(bytes(32) if chain != bytes(32) else b"1" * 32, lsn, 1, data)


@given(
    st.integers(1, 2**63),
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=31).filter(
        lambda mode: len(mode.encode()) <= 31
    )
    | st.none(),
    st.booleans(),
)
def test_an_index_head_comes_back(epoch, mode, closed) -> None:
    head = runs.IndexHead(epoch, mode, closed)
    assert runs.decode_head(runs.encode_head(head)) == head


SIZES = st.lists(
    st.integers(0, 50) | st.integers(runs.RUN_BYTES_MAX - 3, runs.RUN_BYTES_MAX + 3), max_size=40
)


@given(SIZES, st.integers(1, 1000), st.integers(0, 1000), st.booleans())
def test_runs_are_dense_bounded_and_hold_their_bytes(sizes, first, offset, many) -> None:
    lines = [b"x" * size for size in sizes] * (20 if many else 1)
    pieces, made = runs.make_runs(lines, first, offset, runs.GENESIS)
    data = b"".join(pieces)
    assert data == b"".join(line + b"\n" for line in lines)
    at, sequence, chain = offset, first, runs.GENESIS
    for run, piece in zip(made, pieces, strict=True):
        assert (run.offset, run.first) == (at, sequence)
        assert 1 <= run.events <= runs.RUN_EVENTS_MAX
        assert run.length <= runs.RUN_BYTES_MAX or run.events == 1
        assert run.holds(piece)
        assert not run.holds(piece + b"\n")
        chain = sha256(chain + piece).digest()
        assert run.chain == chain
        assert runs.decode_run(runs.encode_run(run)) == run
        at, sequence = run.end, run.last + 1
    assert sequence == first + len(lines)


def test_an_entry_with_any_flipped_bit_is_no_entry() -> None:
    entry = runs.encode_run(runs.make_runs([b"a", b"b"], 1, 0, runs.GENESIS)[1][0])
    for bit in range(8 * len(entry)):
        broken = bytearray(entry)
        broken[bit // 8] ^= 1 << bit % 8
        assert runs.decode_run(bytes(broken)) is None
