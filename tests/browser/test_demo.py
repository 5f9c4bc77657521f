"""The demo page in a real browser, while its network is cut again and again."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.browser.cutting_proxy import CuttingProxy

HERE = Path(__file__).parent
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
ROUNDS = 170
CUTS = 24

pytestmark = [
    pytest.mark.browser,
    pytest.mark.timeout(240),
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium: apt-get install chromium"),
]


@pytest.fixture
def served(tmp_path: Path) -> Iterator[int]:
    """The port of a server of our own."""
    root = tmp_path / "var"
    command = [sys.executable, "-m", "eventspine.cli"]
    subprocess.run([*command, "init", "--root", str(root)], check=True, capture_output=True)
    process = subprocess.Popen(
        [*command, "serve", "--root", str(root), "--port", "0"], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        url = process.stdout.readline().split(" on ")[1].split()[0]
        yield int(url.rpartition(":")[2])
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)
        process.stdout.close()


def two_windows(url: str, rounds: int, *more: str) -> dict[str, Any]:
    assert (HERE / "node_modules" / "playwright-core").is_dir(), "run npm ci in tests/browser"
    done = subprocess.run(
        ["node", str(HERE / "two_windows.mjs"), url, str(CHROMIUM), str(rounds), *more],
        capture_output=True,
        text=True,
        env={**os.environ, "NODE_OPTIONS": ""},
        timeout=220,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def stored(port: int, stream: str) -> list[dict[str, Any]]:
    """The whole stream, past the proxy."""
    events: list[dict[str, Any]] = []
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
        while True:
            params = {"limit": "10000", **({"after": events[-1]["cursor"]} if events else {})}
            page = client.get(f"/v1/streams/{stream}/events", params=params).json()
            events += page["events"]
            if page["next"] == page["head"]:
                return events


def test_a_network_that_is_cut_again_and_again_loses_nothing_and_doubles_nothing(
    served: int,
) -> None:
    with CuttingProxy(served, seed=7, cuts_max=CUTS) as proxy:
        result = two_windows(proxy.url, ROUNDS)
        assert proxy.cuts >= 20, f"only {proxy.cuts} cuts"
    chat, canvas = stored(served, "demo-chat"), stored(served, "demo-canvas")
    ann, bob = result["windows"]
    print(f"{proxy.cuts} cuts, {len(chat)} messages, {len(canvas)} patches, {proxy.connections=}")

    # the stream: every message once, dense
    assert Counter(event["payload"]["text"] for event in chat) == Counter(result["said"])
    assert len(chat) == 2 * ROUNDS
    for events in (chat, canvas):
        assert [event["sequence"] for event in events] == list(range(1, len(events) + 1))
    for window in (ann, bob):
        # both windows: the stream, in its order, each event once, nothing red
        assert window["chatIds"] == [event["event_id"] for event in chat]
        assert window["messages"] == len(chat)
        assert window["unsentShown"] == 0
        assert window["canvas"]["last"] == len(canvas)
        assert not window["red"]
        assert window["trouble"] == ""
        assert window["problems"] == []
        for reader in ("chat", "canvas"):
            assert window[reader]["violations"] == window[reader]["gaps"] == 0
            assert window[reader]["connects"] > 1
    # the canvas: the same in both, every keystroke once
    assert ann["text"] == bob["text"] == ann["shown"] == bob["shown"]
    assert len(ann["text"]) == sum(len(token) for token in result["typed"])
    assert Counter(ann["text"]) == Counter("".join(result["typed"]))


def test_two_windows_show_the_same_on_a_good_network(served: int) -> None:
    result = two_windows(f"http://127.0.0.1:{served}", 12)
    ann, bob = result["windows"]
    assert ann["text"] == bob["text"]
    assert Counter(ann["text"]) == Counter("".join(result["typed"]))
    assert {window["chat"]["connects"] for window in (ann, bob)} == {1}
    assert ann["chatIds"] == bob["chatIds"]
    assert len(ann["chatIds"]) == 24
