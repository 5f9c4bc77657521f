"""No tenant changes what another reads: the same program, alone and in bad company.

Tenant B's program of random requests to every endpoint runs twice, on two servers: alone, and with
random requests of others between its own. They use the same ids, names, keys and spend ids, are
called nearly as B is, or are B in another env, project or surface; and some state B where they may
not. Every answer of B has to be the same both times, and nobody else ever reads B's mark.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator, Mapping

import httpx
import pytest

from eventspine.api.operations import OPERATIONS
from eventspine.contracts.ids import path_segment
from eventspine.services.budget_policy import SYSTEM_TENANT
from tests.api.serving import Served, Tail, settings_of
from tests.tenancy.answers import Answer, Comparable
from tests.tenancy.drawing import Draw, Request, Who, escaped
from tests.tenancy.object_requests import UPLOAD
from tests.tenancy.requests import GENERATORS, SHARED, WHOLE
from tests.tenancy.route_requests import ROUTES

SEED = int(os.environ.get("EVENTSPINE_TENANCY_SEED") or time.time_ns() % 1_000_000_007)
ROUNDS = 2
OF_EACH = 3  # requests of B to every endpoint in a round
COMPANY = 3  # requests of others between two of B's, at most

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


@pytest.fixture(scope="module", params=["memory", "filesystem"])
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def pair(backend: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, Served]]:
    """Two servers: B is alone on the first."""
    settings = settings_of(lab=None)
    with (
        Served(tmp_path_factory.mktemp("alone"), settings) as alone,
        Served(tmp_path_factory.mktemp("company"), settings) as company,
    ):
        for server in (alone, company):
            _prepare(server, backend)
        yield alone, company


def _prepare(server: Served, backend: str) -> None:
    """Routes for everybody, and every backend opened by somebody else."""
    kinds = sorted({route.resource_kind.value for route in server.ask(lambda s: s.routes.list())})
    with server.client() as client:
        for kind in kinds:
            row = {"resource_kind": kind, "tenant_id": "*", "env": "*", "project_id": "*"}
            answer = client.post("/v1/routes", json={**row, "mode": "lab", "backend_type": backend})
            assert answer.status_code == 201, answer.text
        somebody = Caller(client, Who("t_first", "dev", "default", "_", "first"))
        draw = Draw(random.Random(0), somebody.who)
        for generate in GENERATORS.values():
            somebody.send(generate(draw))


def test_every_endpoint_has_a_generator_or_a_reason() -> None:
    assert GENERATORS.keys() | WHOLE.keys() == {row.name for row in OPERATIONS}
    assert not GENERATORS.keys() & WHOLE.keys()
    draw = Draw(random.Random(1), Who("t", "dev", "p", "_", "m"))
    for name, generate in GENERATORS.items():
        assert generate(draw).operation == name


@pytest.mark.parametrize("number", range(ROUNDS))
def test_a_program_reads_the_same_alone_and_in_company(
    pair: tuple[Served, Served], backend: str, number: int
) -> None:
    statuses = _compared(pair, f"{SEED} {backend} {number}", number)
    assert {200, 201, 204, 404, 412} <= statuses, f"seed {SEED}: a program that does too little"


def test_a_leak_between_tenants_is_found(
    pair: tuple[Served, Served], backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Paths that fold case: the twins of a name share what they have."""

    def folded(value: str) -> str:
        return path_segment(value.lower())

    monkeypatch.setattr("eventspine.contracts.context.path_segment", folded)
    with pytest.raises(AssertionError, match=rf"seed {SEED}.*(request|shows what is B's)"):
        _compared(pair, f"{SEED} {backend} leak", ROUNDS)


def _compared(pair: tuple[Served, Served], seed: str, number: int) -> set[int]:
    """Run B's program alone and in company. The statuses it met; AssertionError: it differs."""
    print(f"EVENTSPINE_TENANCY_SEED={SEED} repeats these programs")
    project = "default" if number % 2 else "p"
    b = Who(f"t_b{number}", f"dev{number}", project, "_", f"mark-of-b-{number}")
    program = _program(random.Random(seed), b)
    with pair[0].client() as client:
        caller = Caller(client, b)
        alone = [caller.send(request) for request in program]
    rng = random.Random(f"company {seed}")
    with pair[1].client() as client:
        caller, others = Caller(client, b), Others(client, b, rng)
        for n, (request, expected) in enumerate(zip(program, alone, strict=True)):
            for _ in range(rng.randrange(COMPANY + 1)):
                others.act()
            found = caller.send(request)
            assert found == expected, f"seed {SEED}, request {n} of {seed!r}: {request}"
    return {answer.status for answer in alone}


def _program(rng: random.Random, who: Who) -> list[Request]:
    draw = Draw(rng, who)
    program = [generate(draw) for generate in GENERATORS.values() for _ in range(OF_EACH)]
    rng.shuffle(program)
    return program


class Caller:
    """One client of one server, and what it was answered, made comparable."""

    def __init__(self, client: httpx.Client, who: Who) -> None:
        self.who = who
        self._client = client
        self._comparable = Comparable()
        self._signed = "/v1/uploads/none"  # signed last
        self._upload = "/v1/objects/a/uploads/none"  # begun last
        self._count = 0
        self.raw = b""

    def send(self, request: Request) -> Answer:
        self._count += 1
        headers = {**self.who.headers, **_bytes(request.headers)}
        headers[b"x-request-id"] = f"r{self._count}".encode()
        if request.events:
            return self._live(request, headers)
        answer = self._client.request(
            request.method,
            request.path.replace(UPLOAD, self._upload) or self._signed,
            params=request.params,
            headers=headers,
            content=request.content,
        )
        self.raw = answer.content
        assert answer.status_code < 500, f"seed {SEED}: {request.operation}: {answer.text}"
        self._remember(request.operation, answer)
        return self._comparable.answer(
            request.operation, answer.status_code, answer.headers, answer.content
        )

    def _remember(self, operation: str, answer: httpx.Response) -> None:
        """What an answer has made, and later requests are about."""
        if operation == "presignUpload" and answer.status_code == 200:
            self._signed = answer.json()["path"]
        if operation == "beginUpload" and answer.is_success:
            made = answer.json()
            self._upload = f"/v1/objects/{escaped(made['key'])}/uploads/{made['upload_id']}"

    def _live(self, request: Request, headers: dict[bytes, bytes]) -> Answer:
        """As many events as there are by now, up to `events`; then the client goes."""
        there = self._there(request, headers)
        with self._client.stream(
            request.method, request.path, params=request.params, headers=headers
        ) as response:
            if response.status_code != 200:
                body = response.read()
                return self._comparable.answer(
                    request.operation, response.status_code, response.headers, body
                )
            events = Tail(response).take(min(there, request.events))
            found = [(event.name, self._comparable.event(event.data)) for event in events]
        self.raw = repr(found).encode()
        return Answer(200, (), found)

    def _there(self, request: Request, headers: dict[bytes, bytes]) -> int:
        if "streams" in request.params:
            names = request.params["streams"].split(",")
        else:
            names = [request.path.split("/")[3]]
        there = 0
        for name in names:
            page = self._client.get(f"/v1/streams/{name}/events", headers=headers)
            there += len(page.json().get("events", ())) if page.status_code == 200 else 0
        return there


def _bytes(headers: Mapping[str, str]) -> dict[bytes, bytes]:
    return {name.encode(): text.encode() for name, text in headers.items()}


class Others:
    """Everybody but B: each action is somebody's request, or a trick with B's name in it."""

    def __init__(self, client: httpx.Client, b: Who, rng: random.Random) -> None:
        self._b = b
        self._rng = rng
        self._client = client
        self._callers = [Caller(client, who) for who in _nearly(b)]

    def act(self) -> None:
        if self._rng.random() < 0.15:
            self._trick()
            return
        caller = self._rng.choice(self._callers)
        name = self._rng.choice(sorted(GENERATORS.keys() | WHOLE.keys()))
        if name in WHOLE:
            if WHOLE[name].startswith("/"):
                answer = self._client.get(WHOLE[name])
                self._read(answer.content, name)
            return
        alike = (caller.who.env, caller.who.project_id) == (self._b.env, self._b.project_id)
        same = caller.who.tenant_id in (self._b.tenant_id, SYSTEM_TENANT)
        if alike and (name in SHARED or (same and name in ROUTES)):
            return  # the same route, or rows of the system tenant that all of B's project share
        caller.send(GENERATORS[name](Draw(self._rng, caller.who)))
        self._read(caller.raw, name)

    def _read(self, raw: bytes, what: str) -> None:
        assert self._b.mark.encode() not in raw, f"seed {SEED}: {what} shows what is B's"

    def _trick(self) -> None:
        """A request that states two tenants, or a mode that is not B's, is refused."""
        caller = self._rng.choice(self._callers[:-3])  # those with another tenant
        name = self._rng.choice(["append", "putRow", "setEntry", "getRow", "list", "putObject"])
        request = GENERATORS[name](Draw(self._rng, caller.who))
        headers = {**caller.who.headers, **_bytes(request.headers)}
        how = self._rng.choice(["twice", "query", "body", "mode"])
        if how == "body":
            event = {"event_type": "t", "payload": {}, "tenant_id": self._b.tenant_id}
            answer = self._client.post("/v1/streams/a/events", json=event, headers=headers)
        elif how == "query":
            params = {**request.params, "tenant_id": self._b.tenant_id}
            answer = self._client.request(
                request.method,
                request.path,
                params=params,
                headers=headers,
                content=request.content,
            )
        elif how == "mode":
            stated = {**self._b.headers, **_bytes(request.headers), b"x-mode": b"pilot"}
            answer = self._client.request(
                request.method,
                request.path,
                params=request.params,
                headers=stated,
                content=request.content,
            )
        else:
            both = [*headers.items(), (b"x-tenant-id", self._b.tenant_id.encode())]
            answer = self._client.request(
                request.method,
                request.path,
                headers=both,
                content=request.content,
            )
        unaudited = answer.status_code == 503 and answer.json()["code"] == "audit_unavailable"
        refused = 400 <= answer.status_code < 500 or unaudited  # outside lab
        assert refused, f"seed {SEED}: {how} {name}: {answer.text}"
        self._read(answer.content, name)


def _nearly(b: Who) -> list[Who]:
    """Those who are nearly B: by name, and at the end by another env, project or surface."""
    tenants = [
        *(b.tenant_id.upper(), f"{b.tenant_id}/", f"{b.tenant_id}%2f", f"{b.tenant_id}@p"),
        *(
            f"../{b.tenant_id}",
            f"{b.tenant_id}/{b.env}",
            f"{b.tenant_id}\u200b",
            "..",
            SYSTEM_TENANT,
        ),
    ]
    return [
        *(b._replace(tenant_id=tenant, mark="other") for tenant in tenants),
        b._replace(env=b.env.upper(), mark="other"),
        b._replace(project_id="P", mark="other"),
        b._replace(surface_id="_@p", mark="other"),
    ]
