"""A served root whose log has rotted: the stream it touches refuses, the others go on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import anyio
import httpx
import pytest

from tests.torture.server import Server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


def test_a_stream_with_damage_in_the_log_refuses_and_the_others_serve(tmp_path: Path) -> None:
    anyio.run(_main, Server(tmp_path))


async def _main(server: Server) -> None:
    server.init()
    server.start()
    try:
        await server.wait_ready()
        async with httpx.AsyncClient(base_url=server.url, trust_env=False, timeout=20) as http:

            async def append(stream: str, text: str) -> httpx.Response:
                event = {"event_type": "said", "payload": {"text": text}}
                return await http.post(f"/v1/streams/{stream}/events", json=event)

            async def read(stream: str) -> httpx.Response:
                return await http.get(f"/v1/streams/{stream}/events")

            for stream in ("victim", "other"):
                assert (await append(stream, "first")).status_code == 201
            await _rot(server, append)
            refused = await read("victim")
            assert (refused.status_code, refused.json()["code"]) == (503, "store_corrupt")
            refused = await append("victim", "no")
            assert (refused.status_code, refused.json()["code"]) == (503, "store_corrupt")
            before = (await read("other")).json()["events"]
            assert [event["payload"]["text"] for event in before][:1] == ["first"]
            assert (await append("other", "goes on")).status_code == 201
        await server.stop(within_s=15)
        said = server.run("doctor", "--root", str(server.root))
        assert said.returncode == 2
        assert b"victim" in said.stdout
        key = next((server.root / "event_stream").glob("*/*/*/victim")).relative_to(server.root)
        accepting = ("doctor", "--root", str(server.root), "--accept", str(key))
        assert server.run(*accepting).returncode == 1
        assert server.run("doctor", "--root", str(server.root)).returncode == 0
    finally:
        server.cleanup()


async def _rot(server: Server, append: Callable[[str, str], Awaitable[httpx.Response]]) -> None:
    """Two bits of an event that only the log has."""
    for attempt in range(20):
        marker = f"to be damaged, {attempt}"
        await append("victim", marker)
        await append("other", "behind it")
        await server.kill()
        flushed = server.root.glob("event_stream/*/*/*/victim/events.jsonl")
        if not any(marker.encode() in path.read_bytes() for path in flushed):
            break
        server.start()
        await server.wait_ready()
    else:
        raise AssertionError("every event was flushed before the kill")
    for log in server.root.glob("commit_log/*.log"):
        data = log.read_bytes()
        log.write_bytes(data.replace(marker.encode(), marker.replace("a", "b").encode()))
    server.start()
    await server.wait_ready()
