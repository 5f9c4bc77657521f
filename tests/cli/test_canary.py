"""The whole program with secrets that would be recognised anywhere, and then a look everywhere.

Job: one server as a process, with one secret in a file and one in a variable; everything that a
route can go through, failures included; then every answer, every line on stdout and stderr, and
every file below the root is searched for both values, also encoded.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import httpx
import pytest

from tests.client.serving import COMMAND

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]
IN_FILE = 'cAnary-f1le/+="é%<5up3r s3cret'
IN_VARIABLE = "cAnary-v4riable/+='ß%>5up3r s3cret"
VARIABLE = "EVENTSPINE_TEST_CANARY"
LAB = {"env": "dev", "mode": "lab"}
OBJECTS = {"resource_kind": "object_store", "project_id": "default", **LAB}


def forms(value: str) -> Iterator[bytes]:
    """What a value can look like once it went through somebody's hands."""
    data = value.encode()
    yield data
    yield value.swapcase().encode()
    yield json.dumps(value)[1:-1].encode()
    yield repr(data)[2:-1].encode()
    yield repr(value)[1:-1].encode()
    for text in (quote(value), quote(value, safe=""), quote_plus(value), data.hex()):
        yield text.encode()
        yield text.lower().encode()
        yield text.upper().encode()
    for shift in range(3):  # base64 looks different at each place in a group of three bytes
        for encode in (b64encode, urlsafe_b64encode):
            yield encode(bytes(shift) + data)[4 if shift else 0 : -4]
    yield data[:12]
    yield data[-12:]


def leaks(data: bytes) -> list[bytes]:
    return [form for value in (IN_FILE, IN_VARIABLE) for form in forms(value) if form in data]


@pytest.mark.parametrize("encode", [str.encode, lambda v: b64encode(b"x" + v.encode() + b"yz")])
def test_the_search_would_find_them(encode: Any) -> None:
    assert leaks(b"before " + encode(IN_VARIABLE) + b" after")
    assert leaks(json.dumps({"a": [IN_FILE]}).encode())
    assert not leaks(b"secret://file_key and secret://variable_key")


class Program:
    """The server, and all that it ever said."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "var"
        self.outside = folder / "outside"
        self.outside.mkdir()
        self.key = self.outside / "upload.key"
        self.key.write_text(IN_FILE + "\n")
        self.routes = self.outside / "routes.toml"
        self.said: list[bytes] = []
        self.env = {**os.environ, VARIABLE: IN_VARIABLE}
        self.command("init")
        self.settings = (self.root / "settings.toml").read_text()
        self.write_settings(
            f'[secrets.file_key]\nfile = "{self.key}"\n'
            f'[secrets.variable_key]\nvariable = "{VARIABLE}"\n'
        )

    def write_settings(self, secrets: str) -> None:
        text = self.settings.replace('# file = ""', f'file = "{self.routes}"')
        text = text.replace("# tenant_editable = false", "tenant_editable = true")
        backend = (
            '[backends.shared]\nbackend_type = "filesystem"\nkinds = ["object_store"]\n'
            'config = {root = "shared", signing_key = "secret://variable_key"}\n'
            'tenants = ["*"]\nmodes = ["lab"]\n'
        )
        assert str(self.routes) in text
        (self.root / "settings.toml").write_text(text + secrets + backend)

    def command(self, *arguments: str, code: int = 0) -> str:
        done = subprocess.run(
            [*COMMAND, *arguments, "--root", str(self.root)],
            capture_output=True,
            env=self.env,
            timeout=50,
            check=False,
        )
        self.said += [done.stdout, done.stderr]
        assert done.returncode == code, done.stderr.decode()
        return done.stdout.decode()

    @contextmanager
    def serving(self) -> Iterator[httpx.Client]:
        """The server while the block lasts; what it said is kept at its end."""
        options = ["--port", "0", "--log-level", "debug", "--access-log"]
        command = [*COMMAND, "serve", "--root", str(self.root), *options]
        out, err = self.outside / "stdout", self.outside / "stderr"
        with out.open("wb") as stdout, err.open("wb") as stderr:
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, env=self.env)
            assert process.stdout is not None
            with process.stdout:
                greeting = process.stdout.readline()
                try:
                    url = greeting.decode().split(" on ")[1].split()[0]
                    hooks = {"response": [self._keep]}
                    with httpx.Client(
                        base_url=url, timeout=20, trust_env=False, event_hooks=hooks
                    ) as client:
                        yield client
                finally:
                    process.send_signal(signal.SIGTERM)
                    code = process.wait(30)
                stdout.write(greeting + process.stdout.read())
        assert code == 0
        self.said += [out.read_bytes(), err.read_bytes()]

    def _keep(self, answer: httpx.Response) -> None:
        if "event-stream" in answer.headers["content-type"]:
            return
        self.said += [b"".join(b"%b: %b\n" % pair for pair in answer.headers.raw), answer.read()]


def route(tenant: str, **config: Any) -> dict[str, Any]:
    return {**OBJECTS, "tenant_id": tenant, "backend_type": "filesystem", "config": config}


def address(tenant: str) -> str:
    return f"/v1/routes/object_store/{tenant}/dev/default/lab"


def in_name_of(tenant: str) -> dict[str, str]:
    return {"X-Tenant-Id": tenant, "X-Env": "dev", "X-Mode": "lab"}


def upload(client: httpx.Client, tenant: str) -> None:
    """An address signed with the tenant's key, used, and used wrongly."""
    body = {"key": "report", "content_type": "text/plain"}
    made = client.post("/v1/objects/presign", json=body, headers=in_name_of(tenant))
    assert made.status_code == 200, made.text
    path = made.json()["path"]
    plain = {"content-type": "text/plain"}
    assert client.put(path, content=b"bytes", headers=plain).status_code in (200, 201)
    assert client.put(path[:-5] + "AAAAA", content=b"x", headers=plain).status_code == 403


def what_routes_go_through(client: httpx.Client, program: Program) -> None:
    secrets = {"a": "secret://file_key", "b": "secret://variable_key"}
    for tenant, reference in secrets.items():
        made = route(tenant, signing_key=reference)
        assert client.post("/v1/routes", params={"dry_run": 1}, json=made).status_code == 200
        assert client.post("/v1/routes", json=made).status_code == 201
        upload(client, tenant)
    memory = {**route("a", signing_key=secrets["b"]), "backend_type": "memory"}
    assert client.put(address("a"), params={"dry_run": 1}, json=memory).status_code == 200
    assert client.put(address("a"), json=memory).json()["health"]["state"] == "serving"
    upload(client, "a")
    revision = client.get("/v1/routes").json()["revision"]
    assert client.post("/v1/routes/rollback", json={"to": revision - 1}).status_code == 200
    client.put(
        "/v1/tenant/routes/object_store", json={"backend": "shared"}, headers=in_name_of("c")
    )
    upload(client, "c")
    for tenant in "abc":
        where = {**OBJECTS, "tenant_id": tenant}
        for path in ("/v1/routes/explain", "/v1/routes/resolve", "/v1/routes/history"):
            assert client.get(path, params=where).status_code == 200
    exported = program.command("routes", "export")
    assert client.post("/v1/routes/apply", json=json.loads(exported)).status_code == 200
    program.command(
        *("routes", "import-env", "--means", "CANARY_STORE=object_store"),
        *("--means", f"{VARIABLE}=object_store.signing_key"),
    )


def what_fails(client: httpx.Client, program: Program) -> None:
    for value in (IN_FILE, IN_VARIABLE):
        for body in (
            route("d", signing_key=value),
            route("d", signing_key=[value]),
            route("d", signing_key={"value": value}),
            {**route("d"), "backend_type": "floppy", "config": {"signing_key": value}},
            {**route("d"), "resource_kind": "event_stream", "config": {"signing_key": value}},
        ):
            for params in ({}, {"dry_run": 1}):
                refused = client.post("/v1/routes", params=params, json=body)
                assert refused.status_code == 422, refused.text
            file = {"serial": 1, "routes": [body]}
            assert client.post("/v1/routes/plan", json=file).status_code == 422
            file["serial"] = client.get("/v1/routes").json()["revision"]
            assert client.post("/v1/routes/apply", json=file).status_code == 422
        program.routes.write_text(
            f"serial = 1\n[[routes]]\nconfig = {{signing_key = {json.dumps(value)}}}\n"
        )
        program.routes.write_text(f"serial = 1\n[[routes]]\n{json.dumps(value)}")
    assert client.post("/v1/routes", json=route("d", signing_key="secret://x")).status_code == 422
    shell = ("--tenant", "d", "--env", "dev", "--mode", "lab", "--kind", "object_store")
    config = json.dumps({"signing_key": IN_FILE})
    program.command("routes", "create", *shell, "--backend", "memory", "--config", config, code=1)
    (program.root / "taken").write_text("a file where a folder should be")
    taken = route("d", root="taken", signing_key="secret://file_key")
    assert not client.post("/v1/routes", params={"dry_run": 1}, json=taken).json()["probe"]["ok"]
    assert client.post("/v1/routes", json=taken).json()["health"]["state"] == "stale"
    for broken in (IN_FILE[:13], IN_FILE + "x" * 70_000, None):
        program.key.unlink()
        if broken is not None:
            program.key.write_text(broken)
        again = {**route("b", signing_key="secret://file_key"), "reason": str(len(broken or ""))}
        assert client.put(address("b"), json=again).json()["health"]["state"] == "stale"
        if broken is None:
            program.key.write_text(IN_FILE)


def what_is_shown(client: httpx.Client) -> None:
    for path in ("/readyz", "/metrics", "/v1/supervisor", "/openapi.json", "/docs/errors", "/"):
        client.get(path)
    for path in ("/v1/routes", "/v1/routes/history", "/v1/tenant/routes"):
        assert client.get(path).status_code == 200
    system = in_name_of("t_system")
    for stream in ("routing", "audit"):
        client.get(f"/v1/streams/{stream}/events", headers=system)


def test_no_value_of_a_secret_is_anywhere(tmp_path: Path) -> None:
    program = Program(tmp_path)
    with program.serving() as client:
        what_routes_go_through(client, program)
        what_fails(client, program)
        what_is_shown(client)
        with client.stream("GET", "/v1/routes/watch") as watch:
            program.said.append(next(watch.iter_raw()))
    program.command("doctor")
    program.key.unlink()
    program.command("serve", "--port", "0", code=2)
    program.write_settings(f"[secrets.file_key]\nvalue = {json.dumps(IN_FILE)}\n")
    program.command("serve", "--port", "0", code=2)
    program.write_settings("")
    said = b"\n".join(program.said)
    assert len(program.said) > 150
    for word in (b"secret://file_key", b"config.signing_key", b"could not be opened", b"WARNING"):
        assert word in said, word
    assert leaks(said) == []
    files = [path for path in program.root.rglob("*") if path.is_file()]
    assert len(files) > 10
    found = {str(path): leaks(path.read_bytes()) for path in files}
    assert {path: what for path, what in found.items() if what} == {}
