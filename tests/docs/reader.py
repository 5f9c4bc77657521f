"""A reader who types a page's commands into one bash, in a folder of their own."""

from __future__ import annotations

import contextlib
import os
import selectors
import shlex
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from tests.docs.scenario import Step, matches, with_port

COMMAND_S_MAX = 60.0
READY_S_MAX = 30.0


class PageWrong(AssertionError):
    """A page says one thing, the product does another."""


def free_port() -> int:
    """A TCP port of the loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Reader:
    """One shell: a folder, variables and background jobs last from step to step."""

    def __init__(self, folder: Path, port: int) -> None:
        self._folder = folder
        self._port = port
        self._notes = folder.parent / f"{folder.name}-steps"
        self._notes.mkdir()
        self._count = 0
        status_reader, status_writer = os.pipe()
        self._status = os.fdopen(status_reader, "rb", buffering=0)
        self._shell = subprocess.Popen(
            ["bash", "--noprofile", "--norc"],
            stdin=subprocess.PIPE,
            cwd=folder,
            env=_environment(folder, status_writer),
            pass_fds=[status_writer],
            start_new_session=True,
        )
        os.close(status_writer)

    def take(self, step: Step) -> None:
        """Run one step; raises PageWrong where the page and the product differ."""
        self._count += 1
        code = self._notes / f"{self._count}.{step.language}"
        output = self._notes / f"{self._count}.out"
        code.write_text(with_port(step.code, self._port) + "\n")
        if step.ready_url is None:
            self._in_front(step, code, output)
        else:
            self._in_background(step, code, output, with_port(step.ready_url, self._port))

    def close(self) -> None:
        """End the shell and all that it started: asked first, then made to."""
        for sent, wait_s in ((signal.SIGTERM, 10.0), (signal.SIGKILL, 5.0)):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._shell.pid, sent)
            if self._ended_within(wait_s):
                break
        assert self._shell.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._shell.stdin.close()
        self._shell.wait()
        self._status.close()

    def _in_front(self, step: Step, code: Path, output: Path) -> None:
        run = f". {_quoted(code)}" if step.language == "console" else _program(step, code)
        status = self._ask(
            f"{run} </dev/null >{_quoted(output)} 2>&1 {self._unshared}; echo $? >&$STATUS_FD",
            COMMAND_S_MAX,
        )
        text = _text(output)
        if status != step.exit_status:
            raise PageWrong(_report(step, f"exit {status}, not {step.exit_status}", text))
        self._compare(step, text, ())

    def _in_background(self, step: Step, code: Path, output: Path, url: str) -> None:
        run = _program(step, code)
        self._ask(
            f"{run} </dev/null >{_quoted(output)} 2>&1 {self._unshared} & echo 0 >&$STATUS_FD", 5.0
        )
        deadline = time.monotonic() + READY_S_MAX
        while not _answers(url):
            if self._ask("kill -0 $! 2>/dev/null; echo $? >&$STATUS_FD", 5.0) != 0:
                raise PageWrong(_report(step, "it ended before it was ready", _text(output)))
            if time.monotonic() > deadline:
                raise PageWrong(_report(step, f"{url} did not answer", _text(output)))
            time.sleep(0.05)
        self._compare(step, _text(output), ("...",))

    @property
    def _unshared(self) -> str:
        # What runs on must not hold the status pipe open after the shell's end.
        return "{STATUS_FD}>&-"

    def _compare(self, step: Step, text: str, more: tuple[str, ...]) -> None:
        if step.expected is None:
            return
        expected = tuple(with_port(line, self._port) for line in step.expected)
        if not matches(expected + more, text):
            raise PageWrong(_report(step, "the page says:\n" + "\n".join(expected), text))

    def _ask(self, line: str, wait_s: float) -> int:
        assert self._shell.stdin is not None
        self._shell.stdin.write(line.encode() + b"\n")
        self._shell.stdin.flush()
        with selectors.DefaultSelector() as selector:
            selector.register(self._status, selectors.EVENT_READ)
            if not selector.select(wait_s):
                raise PageWrong(f"no end within {wait_s:.0f} s: {line}")
        answer = self._status.read(16) or b""
        if not answer:
            raise PageWrong(f"the shell itself ended: {line}")
        return int(answer)

    def _ended_within(self, wait_s: float) -> bool:
        deadline = time.monotonic() + wait_s
        while time.monotonic() < deadline:
            self._shell.poll()
            try:
                os.killpg(self._shell.pid, 0)
            except ProcessLookupError:
                return True
            time.sleep(0.02)
        return False


@contextlib.contextmanager
def reading(folder: Path, port: int) -> Iterator[Reader]:
    """A reader in `folder`, whose processes are gone when the block ends."""
    reader = Reader(folder, port)
    try:
        yield reader
    finally:
        reader.close()


def _environment(folder: Path, status_fd: int) -> dict[str, str]:
    tools = Path(sys.executable).parent
    return {
        "HOME": str(folder),
        "PATH": f"{tools}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
        "LANG": "C.UTF-8",
        "TERM": "dumb",
        "NO_COLOR": "1",
        "COLUMNS": "100",
        "STATUS_FD": str(status_fd),
    }


def _program(step: Step, code: Path) -> str:
    if step.language == "python":
        return f"{shlex.quote(sys.executable)} {_quoted(code)}"
    return f"bash -eu {_quoted(code)}"


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2):
            return True
    except urllib.error.HTTPError as refused:
        refused.close()
        return refused.code < 500
    except OSError:
        return False


def _quoted(path: Path) -> str:
    return shlex.quote(str(path))


def _text(output: Path) -> str:
    return output.read_text(errors="replace") if output.exists() else ""


def _report(step: Step, wrong: str, output: str) -> str:
    return f"line {step.line}: {step.code}\n{wrong}\n--- it printed:\n{output}"
