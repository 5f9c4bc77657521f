"""The compiled lane takes whole requests that the Python lane would take, and no others."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eventspine.api.lane.append_lane import AppendLane
from eventspine.api.lane.known_heads import Head
from eventspine.contracts.errors import EventspineError, StoreFull
from eventspine.contracts.wire import decode_many, decode_one, parse_body
from eventspine.services.envelope import is_plain
from tests.api.both_ways import EVENT, plain, post
from tests.api.serving import Served, settings_of
from tests.inner import examples

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("core")]
CONTENT_LENGTH = b"Content-Length: "


class Asking:
    """A stand-in for a connection: keeps what it is answered."""

    def __init__(self) -> None:
        self.server_state = self
        self.default_headers = [(b"server", b"test")]
        self.answers: list[bytes] = []

    def answered(self, head: bytes, body: bytes) -> None:
        self.answers.append(head + b"\r\n" + body)

    def start(self, work: Any) -> None:
        work.close()


class Fuzz:
    """The lane of a server, asked on its own loop; its streams are awake."""

    def __init__(self, server: Served) -> None:
        self.server = server
        assert server.lanes is not None
        self.lane: AppendLane = server.lanes.appends
        self.core: Any = server.lanes.appends.core
        with server.client() as client:
            for stream in ("s", "closed", "S.~:@-1"):
                for _ in range(2):
                    client.post(f"/v1/streams/{stream}/events", content=EVENT)
            client.post("/v1/streams/closed/close")

    def start(self, made: Any, data: bytes, connection: object = None) -> int:
        return int(self.server.ask(lambda _: made.start(data, connection or Asking())))

    def compare(self, *requests: bytes) -> list[int]:
        return list(self.server.ask(lambda _: [self._compare(each) for each in requests]))

    def _compare(self, data: bytes) -> int:
        """What the compiled lane takes of these bytes, after looking whether it may, or must."""
        request = self.lane.find(data)
        taken: int = self.core.start(data, Asking())
        whole = request is not None and request.bytes <= len(data)
        if taken:
            assert request is not None, data
            assert whole, data
            assert taken == request.bytes, data
            assert is_ours(request._head, data[request._begin : taken]), data
        elif whole and request is not None:
            stream = request._line[2].decode()
            ours = is_ours(request._head, data[request._begin : request.bytes])
            assert not (ours and stream in ("s", "S.~:@-1")), data
        return taken


def is_ours(head: Head, body: bytes) -> bool:
    """Whether the body is plain events, as the Python side reads it."""
    if head.request_id or head.idempotency_key or head.expected:
        return False
    try:
        read = decode_many if body.lstrip(b" \t\r\n")[:1] == b"[" else decode_one
        raw = [] if head.ndjson else read(body)
        drafts = parse_body(body, ndjson=head.ndjson)
    except (EventspineError, ValueError, RecursionError):
        return False
    made_a_line = any(byte in bytes(each.payload) for each in as_list(raw) for byte in b"\t\r\n")
    if head.ndjson:
        made_a_line = any(
            b"\t" in line.strip() or b"\r" in line.strip() for line in body.split(b"\n")
        )
    return (
        0 < len(drafts) <= 1024
        and not made_a_line
        and all(is_plain(draft) and draft.ts is None for draft in drafts)
    )


def as_list(drafts: Any) -> list[Any]:
    return drafts if isinstance(drafts, list) else [drafts]


@pytest.fixture(scope="module")
def fuzz(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fuzz]:
    with Served(tmp_path_factory.mktemp("root"), settings_of(body_bytes_max=4096)) as server:
        yield Fuzz(server)


BODIES = [
    EVENT,
    b'[{"event_type":"t","payload":{"n":1}},{"event_type":"u","payload":{}}]',
    b" \r\n[ " + EVENT + b" , " + EVENT + b" ]",
    EVENT + b"\n\n" + EVENT + b"\n",
    EVENT + b"\n{",
    b"[]",
    b"",
    b"\n \n",
    b"{}",
    b"null",
    b"[null]",
    b"[[]]",
    b'{"event_type":"t","payload":[]}',
    b'{"event_type":"t","payload":{"a":1e999}}',
    b'{"event_type":"t","payload":{"a":"\\ud800"}}',
    b'{"event_type":"\\ud800","payload":{}}',
    b'{"event_type":"","payload":{}}',
    b'{"event_type":"%s","payload":{}}' % (b"t" * 256),
    b'{"event_type":"t\\n","payload":{}}',
    b'{"event_type":"t","payload":{"a":"\xff"}}',
    b'{"event_type":"t","payload":{"a":"\xc3\xa9","b":null,"c":[{}]}}',
    b'{"event_type":"t","payload":{\t"a": 1}}',
    b'{"event_type":"t","payload":{"a":1},"event_id":"x"}',
    b'{"event_type":"t","payload":{"a":1},"event_id":null}',
    b'{"event_type":"t","payload":{"a":1},"ts":"2026-01-01T00:00:00Z"}',
    b'{"event_type":"t","payload":{"a":1},"metadata":{}}',
    b'{"event_type":"t","payload":{"a":1},"stream_id":"s"}',
    b'{"event_type":"t","payload":{"a":1},"routing":{}}',
    b'{"event_type":"t","payload":{"a":1},"unknown":1}',
    b'{"event_type":"t","payload":' + b'{"a":' * 1100 + b"1" + b"}" * 1100 + b"}",
    b"[" + b",".join([EVENT] * 100) + b"]",
]
HEADS = [
    (),
    ("Content-Type: application/x-ndjson",),
    ("Prefer: return=minimal", "X-User-Id: u"),
    ("X-Request-Id: mine",),
    ("Idempotency-Key: k",),
    ('If-Match: "0"',),
    ("Expect: 100-continue",),
    ("Connection: close",),
    ("Content-Length: 3",),
    ("content-length: 3",),
    ("X: " + "y" * 1900,),
    ("X: " + "y" * 2100,),
    ("Transfer-Encoding: chunked",),
]
STREAMS = ["s", "S.~:@-1", "closed", "asleep", "x" * 255, "x" * 256, "", "a%20b", "a/b", "\xe9"]


def templates() -> list[bytes]:
    made = [post(stream, body) for stream in STREAMS for body in BODIES]
    made += [post("s", body, *fields) for fields in HEADS for body in BODIES[:6]]
    for length in (0, 1, 35, 36, 37, 4096, 4097, 10**6, 10**7, 10**8, 10**30, -1):
        made.append(post("s", EVENT, length=length))
    for stated in ("036", "+36", "36 ", " 36", "3_6", "0x24", "36;", "", "\xb2", "36\n", "36\r"):
        made.append(post("s").replace(b": 36\r\n", f": {stated}\r\n".encode("latin-1")))
    made.append(post("s").replace(b"Content-Length", b"content-length"))
    made.append(post("s").replace(b"Content-Length", b"Content-length"))
    return made


def test_every_kind_of_request_is_decided_alike(fuzz: Fuzz) -> None:
    requests = templates()
    taken = fuzz.compare(*requests, *[each + post("s") for each in requests])
    assert sum(each > 0 for each in taken) > 50
    assert sum(each == 0 for each in taken) > 50


def test_every_beginning_of_a_request_is_decided_alike(fuzz: Fuzz) -> None:
    whole = post("s", BODIES[1], "X-User-Id: u")
    taken = fuzz.compare(*[whole[:size] for size in range(len(whole) + 1)])
    assert taken == [0] * len(whole) + [len(whole)]


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    data = bytearray(draw(st.sampled_from(TEMPLATES)))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(len(data) - 1, 0)))
        kind = draw(st.sampled_from(["flip", "insert", "delete", "cut", "repeat", "splice"]))
        if kind == "flip" and data:
            data[at] = draw(st.integers(0, 255))
        elif kind == "insert":
            some = [b"\0", b"\r\n", b"\r\n\r\n", CONTENT_LENGTH, b"\xff", b'"', b"[", b"\n"]
            data[at:at] = draw(st.sampled_from(some) | st.binary(max_size=4))
        elif kind == "delete":
            del data[at : at + draw(st.integers(1, 8))]
        elif kind == "cut":
            del data[at:]
        elif kind == "repeat":
            data[at:at] = data[max(at - draw(st.integers(1, 30)), 0) : at]
        else:
            data[at:] = draw(st.sampled_from(TEMPLATES))[-30:]
    return bytes(data)


TEMPLATES = templates()


@settings(
    max_examples=examples(150),
    deadline=None,
    suppress_health_check=list(HealthCheck),
    print_blob=True,
)
@given(st.lists(mutated() | st.binary(max_size=80), min_size=1, max_size=30))
def test_mutated_requests_are_decided_alike(fuzz: Fuzz, requests: list[bytes]) -> None:
    fuzz.compare(*requests)


def test_thousands_of_random_mutations_are_decided_alike(fuzz: Fuzz) -> None:
    seed = random.randrange(2**32)
    print("seed", seed)
    rng = random.Random(seed)
    for _ in range(40):
        requests = []
        for _ in range(200):
            data = bytearray(rng.choice(TEMPLATES))
            for _ in range(rng.choice((1, 1, 2, 5))):
                data[rng.randrange(len(data))] = rng.choice(b'\0\r\n :,0123456789{}[]"aC/\xff')
            requests.append(bytes(data))
        fuzz.compare(*requests)


@pytest.mark.parametrize("most", [1, 60, 120, 200, 2048])
def test_a_head_is_as_long_as_it_may_be_and_no_longer(fuzz: Fuzz, core: Any, most: int) -> None:
    lane = fuzz.lane
    for size in (20, most - 80, most - 70, most - 60, most):
        data = post("s", EVENT, "X: " + "y" * max(size, 1))
        lane._head_bytes_max, kept = most, lane._head_bytes_max
        try:
            found = fuzz.server.ask(lambda _: lane.find(data))  # noqa: B023 - asked at once
        finally:
            lane._head_bytes_max = kept
        made = lane_of(core, lane, head_bytes_max=most)
        taken = fuzz.start(made, data)
        assert taken == (found.bytes if found else 0)


def lane_of(core: Any, lane: AppendLane, **changed: Any) -> Any:
    parts = {
        "known": lane.spine.known_bindings,
        "find_head": lane._heads.find,
        "may_run": lane.turns.may_run,
        "status_line": lane.status_lines.of,
        "failed": lane._failed,
        "decode": decode_one,
        "decode_many": decode_many,
        "loads": orjson.loads,
        "counts": lane.every.counts,
        "count_key": ("POST", "t", 201),
        "process": b"process",
        "body_bytes_max": 4096,
        "events_max": 100,
    }
    return core.Lane(**{**parts, **changed})


def test_the_most_events_of_one_request_are_taken_and_one_more_is_not(
    fuzz: Fuzz, core: Any
) -> None:
    """Beyond what there is room for, too, whatever the limits of the server are."""
    small = b'{"event_type":"t","payload":{}}'
    made = lane_of(core, fuzz.lane, body_bytes_max=1 << 20, events_max=10_000)

    def ask(count: int, form: str) -> int:
        body = b"\n".join([small] * count)
        fields = ["Content-Type: application/x-ndjson"]
        if form == "array":
            body, fields = b"[" + b",".join([small] * count) + b"]", []
        data = post("s", body, *fields)
        return fuzz.start(made, data) // len(data)

    for form in ("array", "lines"):
        assert [ask(count, form) for count in (1, 1023, 1024, 1025, 3000)] == [1, 1, 1, 0, 0]
    # the last there is room for is refused when it is half read
    body = b"[" + b",".join([small] * 1023 + [b'{"event_type":"t","payload":[]}']) + b"]"
    assert fuzz.start(made, post("s", body)) == 0


def test_a_tenant_spends_its_turn_only_on_what_is_on_its_way(fuzz: Fuzz, core: Any) -> None:
    asked: list[str] = []

    def may_run(tenant: str) -> bool:
        asked.append(tenant)
        return len(asked) % 2 == 0

    made = lane_of(core, fuzz.lane, may_run=may_run)
    for stream in ("asleep", "closed"):
        assert fuzz.start(made, post(stream)) == 0
    assert asked == []
    taken = [fuzz.start(made, post("s")) > 0 for _ in range(4)]
    assert taken == [False, True, False, True]
    assert made.taken == 2


# --- what may go wrong around it ---


def failing(error: BaseException) -> Callable[..., Any]:
    def fail(*_: object) -> Any:
        raise error

    return fail


@pytest.mark.parametrize("part", ["find_head", "may_run"])
def test_an_error_of_a_part_is_the_error_of_the_call(fuzz: Fuzz, core: Any, part: str) -> None:
    made = lane_of(core, fuzz.lane, **{part: failing(ValueError("no"))})
    with pytest.raises(ValueError, match="no"):
        fuzz.start(made, post("s"))
    assert made.taken == 0


@pytest.mark.parametrize("part", ["decode", "loads"])
def test_an_error_of_a_parser_is_left_to_the_python_side(fuzz: Fuzz, core: Any, part: str) -> None:
    made = lane_of(core, fuzz.lane, **{part: failing(ValueError("no"))})
    assert fuzz.start(made, post("s")) == 0
    odd = lane_of(core, fuzz.lane, **{part: lambda *_: 5})
    if part == "decode":
        with pytest.raises(AttributeError):
            fuzz.start(odd, post("s"))


@pytest.mark.parametrize("head", [(), (1,) * 9, 5, [None] * 9])
def test_what_is_no_head_is_refused(fuzz: Fuzz, core: Any, head: Any) -> None:
    made = lane_of(core, fuzz.lane, find_head=lambda *_: head)
    for _ in range(2):
        with pytest.raises(TypeError):
            fuzz.start(made, post("s"))


@pytest.mark.parametrize("args", [(), (b"",), ("text", None), (bytearray(post("s")), None)])
def test_other_arguments_are_refused(fuzz: Fuzz, args: tuple[Any, ...]) -> None:
    with pytest.raises(TypeError):
        fuzz.core.start(*args)


def answers_of(fuzz: Fuzz, made: Any, connection: Any, raw: bytes = post("s")) -> None:
    """Starts one and waits until the writer has been through."""
    assert fuzz.start(made, raw, connection) == len(raw)
    with fuzz.server.client() as client:
        assert client.post("/v1/streams/s/events", content=EVENT).status_code == 201


def test_an_answer_is_the_answer_of_the_python_side(fuzz: Fuzz, core: Any) -> None:
    for fields in HEADS[:3]:
        asking, raw = Asking(), post("s", EVENT, *fields)
        answers_of(fuzz, lane_of(core, fuzz.lane), asking, raw)

        def python(_: Any, asking: Asking = asking, raw: bytes = raw) -> None:
            request = fuzz.lane.find(raw)
            assert request is not None
            request.run(raw, asking)

        fuzz.server.ask(python)
        fuzz.server.wait_until(lambda _: len(asking.answers) == 2)  # noqa: B023 - at once
        compiled, expected = [without_position(answer) for answer in asking.answers]
        assert compiled == expected


def without_position(answer: bytes) -> bytes:
    import re

    answer = re.sub(rb"\d{16}_\d{16}|\"sequence\":\d+|process\.[0-9a-f]+", b"", plain(answer))
    return re.sub(rb"content-length: \d+", b"", re.sub(rb'"request_id":"R?"', b"", answer)).replace(
        b"x-request-id: R", b"x-request-id: "
    )


class Closing(Asking):
    """A connection that fails, or asks for more, when it is answered."""

    def __init__(self, call: Callable[[], object]) -> None:
        super().__init__()
        self.call = call

    def answered(self, head: bytes, body: bytes) -> None:
        super().answered(head, body)
        self.call()


def test_a_connection_that_asks_again_when_it_is_answered_is_served(fuzz: Fuzz, core: Any) -> None:
    made, more = lane_of(core, fuzz.lane), [post("s"), post("S.~:@-1"), post("s")]
    connection: Closing = Closing(lambda: more and made.start(more.pop(), connection))
    answers_of(fuzz, made, connection)
    fuzz.server.wait_until(lambda _: len(connection.answers) == 4)
    assert made.taken == 4


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_connection_that_fails_keeps_nobody_from_being_told(fuzz: Fuzz, core: Any) -> None:
    made, sound = lane_of(core, fuzz.lane), Asking()
    for connection in (Closing(failing(ValueError("gone"))), object(), sound):
        answers_of(fuzz, made, connection)
    fuzz.server.wait_until(lambda _: sound.answers)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_connection_that_cannot_be_told_of_a_failure_keeps_nobody_from_it(
    fuzz: Fuzz, core: Any
) -> None:
    told: list[Any] = []
    bad = lane_of(core, fuzz.lane, failed=failing(ValueError("gone")))
    good = lane_of(core, fuzz.lane, failed=lambda *args: told.append(args))

    def begin(spine: Any) -> None:
        (host,) = spine._hosts
        commit = host.writer.thread.commit

        def refuse(batch: object) -> None:
            host.writer.thread.commit = commit
            raise StoreFull("no space left")

        host.writer.thread.commit = refuse
        for made in (bad, good, bad, good):
            assert made.start(post("s"), Asking()) > 0

    fuzz.server.ask(begin)
    fuzz.server.wait_until(lambda _: len(told) == 2)
    connection, head, address, request_id, error = told[0]
    assert isinstance(connection, Asking)
    assert isinstance(head, Head)
    assert (address, request_id[:8]) == (b"/v1/streams/s/events", b"process.")
    assert isinstance(error, StoreFull)
    with fuzz.server.client() as client:  # what was forgotten is awake again
        for stream in ("s", "S.~:@-1"):
            assert client.post(f"/v1/streams/{stream}/events", content=EVENT).status_code == 201


def test_a_server_that_is_stopped_takes_no_more(tmp_path: Path, core: Any) -> None:
    with Served(tmp_path, settings_of()) as server:
        fuzz = Fuzz(server)
        assert fuzz.compare(post("s"))[0] > 0
        server.ask(lambda spine: spine.drain())
        assert server.ask(lambda _: fuzz.core.start(post("s"), Asking())) == 0
