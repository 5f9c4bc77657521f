"""A real server, one file of whose streams fails every time: the stream refuses, the rest serves.

strace lets every write, sync or read of that one file fail with EIO while the server runs. Then the
file works again; the stream refuses still, also after a kill and a start, until `eventspine doctor`
puts back what was set aside.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import httpx
import pytest

from tests.faults.injecting import injected
from tests.faults.volume import missing_for
from tests.torture.server import Server

pytestmark = [pytest.mark.slow, pytest.mark.root, pytest.mark.timeout(120)]
BACK_S_MAX = 15.0
EVENTS = 12
EVENT_BYTES = 30_000  # a segment of the log holds eight


@pytest.fixture(autouse=True)
def _tools() -> None:
    missing = missing_for("strace")
    if missing:
        pytest.skip(missing)


class Client:
    """Appends, and keeps account of what was acknowledged."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self.acked: dict[str, list[str]] = {"bad": [], "good": []}
        self._http = http
        self._sent = 0

    async def send(self, stream: str) -> httpx.Response:
        self._sent += 1
        text = f"{stream} {self._sent} ".ljust(EVENT_BYTES, "x")
        event = {"event_type": "said", "payload": {"text": text}}
        answer = await self._http.post(f"/v1/streams/{stream}/events", json=event)
        if answer.status_code == 201:
            self.acked[stream].append(text)
        return answer

    async def send_until_stored(self, stream: str) -> None:
        with anyio.fail_after(BACK_S_MAX):
            while (await self.send(stream)).status_code != 201:  # noqa: ASYNC110
                await anyio.sleep(0.02)

    async def read(self, stream: str) -> list[str]:
        answer = await self._http.get(f"/v1/streams/{stream}/events", params={"limit": 500})
        assert answer.status_code == 200, answer.text
        return [event["payload"]["text"] for event in answer.json()["events"]]

    async def is_whole(self, stream: str) -> None:
        """What was acknowledged is there, in order; what nobody knows the outcome of may be."""
        found = await self.read(stream)
        assert [text for text in found if text in set(self.acked[stream])] == self.acked[stream]


@asynccontextmanager
async def serving(server: Server) -> AsyncIterator[Client]:
    server.init()
    server.start()
    try:
        await server.wait_ready()
        async with httpx.AsyncClient(base_url=server.url, trust_env=False, timeout=30) as http:
            client = Client(http)
            for stream in ("bad", "good"):
                await client.send_until_stored(stream)
            yield client
    finally:
        server.cleanup()


async def file_of(server: Server, stream: str, name: str) -> Path:
    """Once it was flushed, so that there is one."""
    with anyio.fail_after(BACK_S_MAX):
        while True:
            for file in server.root.glob(f"event_stream/*/*/*/{stream}/{name}"):
                return file
            await anyio.sleep(0.01)


@pytest.mark.parametrize("call", ["pwrite64", "fdatasync"])
@pytest.mark.parametrize("name", ["events.jsonl", "events.idx"])
def test_a_file_that_fails_under_a_server_costs_its_stream(
    tmp_path: Path, name: str, call: str
) -> None:
    async def main() -> None:
        server = Server(tmp_path)
        async with serving(server) as client:
            only = await file_of(server, "bad", name)
            with injected(server.pid, call, "error=EIO", tmp_path / "trace", only) as fault:
                with anyio.fail_after(60):
                    while (refused := await client.send("bad")).json().get("code") != (
                        "store_corrupt"
                    ):
                        await client.send("good")
                        await anyio.sleep(0.1)
                assert fault.happened
                assert refused.status_code == 503
                for _ in range(EVENTS):
                    await client.send_until_stored("good")
                await client.is_whole("good")
                await server.kill()
                server.start()
                await server.wait_ready()
                assert (await client.send("bad")).json()["code"] == "store_corrupt"
                await client.send_until_stored("good")
                await client.is_whole("good")
            await server.stop(within_s=15)
            mended = server.run("doctor", "--root", str(server.root))
            assert mended.returncode == 1, mended.stdout
            assert b"complete again" in mended.stdout
            assert server.run("doctor", "--root", str(server.root)).returncode == 0
            server.start()
            await server.wait_ready()
            for stream in ("bad", "good"):
                await client.is_whole(stream)
                await client.send_until_stored(stream)

    anyio.run(main)


def test_a_file_that_cannot_be_read_costs_its_stream(tmp_path: Path) -> None:
    async def main() -> None:
        server = Server(tmp_path)
        async with serving(server) as client:
            await server.stop(within_s=15)
            server.start()
            await server.wait_ready()
            only = await file_of(server, "bad", "events.jsonl")
            with injected(
                server.pid, "pread64,preadv2", "error=EIO", tmp_path / "trace", only
            ) as fault:
                refused = await client._http.get("/v1/streams/bad/events")
                assert (refused.status_code, refused.json()["code"]) == (503, "store_corrupt")
                assert fault.happened
                await client.send_until_stored("good")
                await client.is_whole("good")
                details = (await client._http.get("/metrics")).text
                assert "damaged_streams" in details
            await client.is_whole("bad")

    anyio.run(main)
