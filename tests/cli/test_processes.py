"""Commands as processes: the server, what goes to it by itself, signals, pipes."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from eventspine.cli.serve import url_of
from tests.client.serving import COMMAND, ServerProcess

pytestmark = pytest.mark.slow

EVENT = '{"event_type":"n","payload":{"n":%d}}\n'


def run(*arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments], input=stdin, capture_output=True, text=True, timeout=50, check=False
    )


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path_factory.mktemp("cli") / "var") as process:
        yield process


def test_one_line_says_where_to_point_curl_and_the_browser(server: ServerProcess) -> None:
    assert f"serves {server.root} on {server.url}" in server.greeting
    curl = server.greeting.split(" - try: ")[1].split(" - browser: ")[0].strip()
    answer = subprocess.run(curl, shell=True, capture_output=True, text=True, check=True)
    assert orjson.loads(answer.stdout)["events"][0]["event_type"] == "hello"
    page = server.greeting.split(" - browser: ")[1].strip()
    shown = subprocess.run(["curl", "-sL", page], capture_output=True, text=True, check=True)
    assert "<title>eventspine demo</title>" in shown.stdout


def test_a_locked_root_is_reached_through_its_server(server: ServerProcess) -> None:
    root = ("--root", str(server.root))
    appended = run("append", "by-itself", *root, stdin=EVENT % 1)
    assert appended.stderr == "1 events in by-itself\n"
    assert orjson.loads(run("list", "by-itself", *root).stdout)["payload"] == {"n": 1}
    by_url = run("tail", "by-itself", "--url", server.url)
    assert orjson.loads(by_url.stdout)["payload"] == {"n": 1}
    assert "filesystem" in run("routes", "list", *root).stdout


def test_a_second_server_on_the_root_is_refused(server: ServerProcess) -> None:
    second = run("serve", "--root", str(server.root), "--port", "0")
    assert second.returncode == 2
    assert f"process {server.pid}" in second.stderr
    assert "remedy: " in second.stderr


def test_a_port_that_is_taken_is_told(tmp_path: Path) -> None:
    run("init", "--root", str(tmp_path))
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = str(holder.getsockname()[1])
        result = run("serve", "--root", str(tmp_path), "--port", port)
    assert result.returncode == 2
    assert f"port {port}: another process listens there" in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize("text", ["[limits]\nbody_bytes_max = 1\n", "[lab\n", "[lab]\nx = 1\n"])
def test_bad_settings_are_told_with_their_place(tmp_path: Path, text: str) -> None:
    run("init", "--root", str(tmp_path))
    (tmp_path / "settings.toml").write_text(text)
    result = run("serve", "--root", str(tmp_path), "--port", "0")
    assert result.returncode == 2
    assert f"error: {tmp_path}/settings.toml: " in result.stderr


def test_tail_f_shows_new_events_and_ctrl_c_ends_it_quietly(server: ServerProcess) -> None:
    run("append", "followed", "--url", server.url, stdin=EVENT % 1)
    follower = subprocess.Popen(
        [*COMMAND, "tail", "-f", "followed", "--url", server.url],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert follower.stdout is not None
    assert orjson.loads(follower.stdout.readline())["payload"] == {"n": 1}
    run("append", "followed", "--url", server.url, stdin=EVENT % 2)
    assert orjson.loads(follower.stdout.readline())["payload"] == {"n": 2}
    follower.send_signal(signal.SIGINT)
    _, errors = follower.communicate(timeout=20)
    assert follower.returncode == 130
    assert errors == ""


def test_a_reader_that_leaves_the_pipe_is_no_error(server: ServerProcess) -> None:
    run("append", "long", "--url", server.url, stdin="".join(EVENT % n for n in range(5000)))
    lister = subprocess.Popen(
        [*COMMAND, "list", "long", "--all", "--url", server.url],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert lister.stdout is not None
    assert lister.stderr is not None
    lister.stdout.readline()
    lister.stdout.close()
    assert lister.stderr.read() == b""
    lister.stderr.close()
    assert lister.wait(20) == 0


def test_append_sends_what_a_pipe_has_without_waiting_for_its_end(server: ServerProcess) -> None:
    appender = subprocess.Popen(
        [*COMMAND, "append", "piped", "--url", server.url], stdin=subprocess.PIPE
    )
    follower = subprocess.Popen(
        [*COMMAND, "tail", "-f", "piped", "--url", server.url], stdout=subprocess.PIPE
    )
    assert appender.stdin is not None
    assert follower.stdout is not None
    os.write(appender.stdin.fileno(), (EVENT % 1).encode())
    assert orjson.loads(follower.stdout.readline())["payload"] == {"n": 1}
    appender.stdin.close()
    assert appender.wait(20) == 0
    follower.send_signal(signal.SIGINT)
    follower.wait(20)
    follower.stdout.close()


def test_a_stop_is_graceful_and_the_lock_is_free_again(tmp_path: Path) -> None:
    root = tmp_path / "var"
    with ServerProcess(root) as server:
        run("append", "s", "--url", server.url, stdin=EVENT % 1)
        assert server.stop() == 0
        assert orjson.loads(run("list", "s", "--root", str(root)).stdout)["payload"] == {"n": 1}


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:1"),
        ("0.0.0.0", "http://127.0.0.1:1"),
        ("::", "http://[::1]:1"),
        ("h.example", "http://h.example:1"),
    ],
)
def test_the_address_told_is_one_that_can_be_called(host: str, url: str) -> None:
    assert url_of(host, 1) == url
