"""Routes edited in files while the process runs: taken, or refused and said, and never lost."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from watchfiles._rust_notify import RustNotify

from eventspine.bootstrap import open_spine
from eventspine.contracts.errors import RegistryEditBroken, RouteConflict, SettingsInvalid
from eventspine.contracts.settings import RoutingSettings, Settings
from eventspine.services.spine import Spine
from tests.actors.faulty import CONTEXT, event, memory_route, numbers

pytestmark = pytest.mark.anyio
OWN = "routing_registry_store/routes.json"
Opener = Callable[..., AbstractAsyncContextManager[Spine]]


@pytest.fixture
def opener(tmp_path: Path) -> Opener:
    @asynccontextmanager
    async def opened(file: str = "", *, watch: bool = True) -> AsyncIterator[Spine]:
        routing = RoutingSettings(file=file, watch_files=watch)
        with anyio.fail_after(20):
            async with open_spine(tmp_path, settings=Settings(routing=routing)) as spine:
                yield spine

    return opened


@pytest.fixture
def own(tmp_path: Path) -> Path:
    return tmp_path / OWN


def named(name: str, **more: Any) -> Any:
    return memory_route(CONTEXT, config={"name": name}, **more)


def image_of(own: Path) -> dict[str, Any]:
    members: dict[str, Any] = json.loads(own.read_text())
    return members


def rename_over(path: Path, text: str) -> None:
    """As most editors save."""
    draft = path.with_name("4913~")
    draft.write_text(text)
    draft.rename(path)


def edited(own: Path, **config: Any) -> str:
    members = image_of(own)
    members["routes"][0]["config"] = config
    return json.dumps(members)


def file_of(serial: int | None, *names: str, toml: bool = True) -> str:
    """A file of routes: one route for each name, for tenants t, t1, t2, …"""
    rows = [
        {**named(name).model_dump(mode="json", exclude_none=True), "tenant_id": f"t{i or ''}"}
        for i, name in enumerate(names)
    ]
    if not toml:
        return json.dumps({"serial": serial, "routes": rows})
    text = "" if serial is None else f"serial = {serial}\n"
    for row in rows:
        text += "[[routes]]\n"
        text += f'config = {{name = "{row.pop("config")["name"]}"}}\n'
        text += "".join(f"{key} = {json.dumps(value)}\n" for key, value in row.items())
    return text


def names_of(spine: Spine) -> dict[str, str]:
    return {route.tenant_id: route.config["name"] for route in spine.routes.list()}


async def said(spine: Spine, name: str) -> str:
    """What is said of a file, once it is said."""
    assert spine.route_edits is not None
    await spine.route_edits.wait(lambda: name in spine.routes.files)
    return spine.routes.files[name]


async def mended(spine: Spine, name: str) -> None:
    assert spine.route_edits is not None
    await spine.route_edits.wait(lambda: name not in spine.routes.files)


async def look(spine: Spine) -> None:
    assert spine.route_edits is not None
    await spine.route_edits.look()


# --- the registry's own file ---


@pytest.mark.parametrize("save", [Path.write_text, rename_over])
async def test_an_edit_is_a_revision_of_its_own_and_moves_the_streams(opener, own, save) -> None:
    async with opener() as spine:
        await spine.routes.create(named("one"))
        await spine.append("s", event(1), CONTEXT)
        save(own, edited(own, name="two"))
        await spine.routes.history.wait(1)
        newest = spine.routes.history.newest
        assert (newest.revision, newest.action, newest.by) == (2, "edit", OWN)
        assert newest.rows[0].diff == [{"op": "replace", "path": "/config/name", "value": "two"}]
        await look(spine)  # its owner has swapped when the turn is over
        await spine.append("s", event(2), CONTEXT)
        assert numbers((await spine.list_after("s", None, CONTEXT)).lines) == [2]
        assert image_of(own)["revision"] == 2
        assert spine.routes.files == {}
    async with opener() as spine:
        assert names_of(spine) == {"t": "two"}
        assert [c.action for c in await spine.routes.history.entries({}, None, 9)] == [
            "edit",
            "create",
        ]


async def test_rows_may_lack_what_the_registry_adds_and_an_export_is_an_edit(opener, own) -> None:
    async with opener() as spine:
        await spine.routes.create(named("one"))
        rows = [
            named("one").model_dump(mode="json"),
            named("new", tier="x").model_dump(mode="json"),
        ]
        rows[1]["tenant_id"] = "u"
        own.write_text(json.dumps({"serial": 1, "routes": rows}))
        await spine.routes.history.wait(1)
        assert names_of(spine) == {"t": "one", "u": "new"}
        own.write_text(json.dumps({"revision": 2, "routes": []}))
        await spine.routes.history.wait(2)
        assert spine.routes.list() == []


async def test_what_differs_in_nothing_that_counts_is_no_revision(opener, own) -> None:
    async with opener(watch=False) as spine:
        await spine.routes.create(named("one"))
        own.write_text(json.dumps(image_of(own)))
        await look(spine)
        assert (spine.routes.revision, spine.routes.files) == (1, {})
        await spine.routes.update(named("two"))
        assert image_of(own)["revision"] == 2


BROKEN = {
    "{": "the file is not JSON",
    "": "the file is not JSON",
    "[]": "the file must hold a JSON object",
    '{"revision": 1}': "routes: Field required",
    '{"revision": -1, "routes": []}': "serial: ",
    '{"revision": 1, "routes": [{"tenant_id": "t"}]}': "routes.0.resource_kind: Field required",
    '{"revision": 1, "routes": [], "more": 1}': "more: ",
    "unknown": "Unsupported backend_type=floppy",
    "twice": "the file has two routes",
    "guarded": "backend memory is not for mode prod",
}


def broken_text(own: Path, what: str) -> str:
    members = image_of(own)
    row = members["routes"][0]
    if what == "unknown":
        row["backend_type"] = "floppy"
    elif what == "twice":
        members["routes"].append(row)
    elif what == "guarded":
        row["mode"] = "prod"
    else:
        return what
    return json.dumps(members)


@pytest.mark.parametrize("what", BROKEN)
async def test_a_broken_file_keeps_the_last_good_rows_and_says_so(
    opener, own, caplog, what
) -> None:
    async with opener() as spine:
        route = await spine.routes.create(named("one"))
        good = own.read_text()
        broken = broken_text(own, what)
        with caplog.at_level(logging.WARNING):
            own.write_text(broken)
            reason = await said(spine, OWN)
        assert reason.startswith("not taken: ")
        assert BROKEN[what] in reason
        assert f"{OWN}: {reason}" in caplog.text
        assert spine.ready()["ready"]
        assert spine.ready()["checks"][f"routes in {OWN}"] == {"ok": True, "detail": reason}
        assert spine.routes.explain(route.key)["files"] == {OWN: reason}
        assert spine.statistics().route_files_refused == 1
        await spine.append("s", event(1), CONTEXT)
        with pytest.raises(RegistryEditBroken, match=OWN):
            await spine.routes.update(named("two"))
        with pytest.raises(RegistryEditBroken):
            await spine.routes.rollback(0)
        assert own.read_text() == broken, "an edit under way is nobody's to overwrite"
        assert len(await spine.routes.history.entries({}, None, 9)) == 1
        own.write_text(good)
        await mended(spine, OWN)
        await spine.routes.update(named("two"))
        assert spine.statistics().route_files_refused == 0


async def test_a_file_that_is_deleted_is_said_and_may_come_back_as_an_export(opener, own) -> None:
    async with opener() as spine:
        await spine.routes.create(named("one"))
        own.unlink()
        assert "not there" in await said(spine, OWN)
        own.write_text(file_of(1, "one", toml=False))
        await mended(spine, OWN)
        await spine.routes.update(named("two"))
        assert names_of(spine) == {"t": "two"}


@pytest.mark.parametrize("serial", [1, 7])
async def test_an_edit_of_another_revision_is_kept_beside_and_nothing_is_lost(
    opener, own, serial
) -> None:
    async with opener() as spine:
        await spine.routes.create(named("one"))
        stale = {**json.loads(edited(own, name="edited")), "revision": serial}
        await spine.routes.update(named("two"))
        own.write_text(json.dumps(stale))
        reason = await said(spine, "edits that were set aside")
        assert "routes.refused-2.json" in reason
        kept = own.with_name("routes.refused-2.json")
        assert json.loads(kept.read_text()) == stale
        assert names_of(spine) == {"t": "two"}
        assert image_of(own)["revision"] == 2, "a crash now loses nothing"
        await spine.routes.update(named("three"))  # changes go on
        own.write_text(json.dumps({**stale, "revision": 1}))
        assert spine.route_edits is not None
        await spine.route_edits.wait(lambda: own.with_name("routes.refused-3.json").exists())
    async with opener() as spine:
        await said(spine, "edits that were set aside")
        for path in own.parent.glob("routes.refused-*"):
            path.unlink()
        await mended(spine, "edits that were set aside")
        assert names_of(spine) == {"t": "three"}


async def test_an_edit_of_a_row_that_may_not_change_is_kept_beside(opener, own) -> None:
    async with opener(watch=False) as spine:
        await spine.routes.create(named("one"))

        def refuse(key: object) -> None:
            raise RouteConflict(f"{key} is being moved")

        before, spine.routes.refuse_change = spine.routes.refuse_change, refuse
        own.write_text(edited(own, name="two"))
        await look(spine)
        spine.routes.refuse_change = before
        assert names_of(spine) == {"t": "one"}
        assert json.loads(own.with_name("routes.refused-1.json").read_text())["routes"]
        await spine.routes.update(named("three"))


async def test_a_wrong_revision_alone_is_put_right(opener, own) -> None:
    async with opener(watch=False) as spine:
        await spine.routes.create(named("one"))
        await spine.routes.update(named("two"))
        own.write_text(json.dumps({**image_of(own), "revision": 1}))
        await look(spine)
        assert image_of(own)["revision"] == 2
        assert spine.routes.files == {}
        assert list(own.parent.glob("routes.refused-*")) == []


@pytest.mark.parametrize("watch", [False, True])
async def test_an_edit_and_a_change_at_once_are_both_there(opener, own, watch) -> None:
    async with opener(watch=watch) as spine:
        await spine.routes.create(named("one"))
        own.write_text(edited(own, name="edited"))
        other = await spine.routes.create(named("api").model_copy(update={"tenant_id": "u"}))
        assert names_of(spine) == {"t": "edited", "u": "api"}
        changes = await spine.routes.history.entries({}, None, 9)
        assert [change.action for change in changes] == ["create", "edit", "create"]
        assert other.revision == 3
        # and a change that counted on what was edited away is refused as always
        own.write_text(json.dumps({"revision": 3, "routes": []}))
        with pytest.raises(RouteConflict):
            await spine.routes.rollback(1, if_revision=3)
        assert spine.routes.list() == []


async def test_a_change_never_replaces_an_edit_that_nobody_has_looked_at(opener, own) -> None:
    async with opener(watch=False) as spine:
        await spine.routes.create(named("one"))
        spine.routes.preceded_by(anyio.lowlevel.checkpoint)  # as if it came right after the look
        own.write_text(edited(own, name="edited"))
        before = own.read_text()
        with pytest.raises(RouteConflict, match="written by somebody else"):
            await spine.routes.update(named("two"))
        assert own.read_text() == before
        assert names_of(spine) == {"t": "one"}


async def test_rows_without_revisions_are_read_at_a_start_too(opener, own) -> None:
    async with opener() as spine:
        await spine.routes.create(named("one"))
    own.write_text(file_of(1, "offline", toml=False))
    async with opener() as spine:
        assert (spine.routes.revision, names_of(spine)) == (1, {"t": "offline"})


# --- the file that the settings name ---


@pytest.mark.parametrize("name", ["routes.toml", "conf/routes.json"])
async def test_a_declared_file_is_taken_at_the_start_and_when_it_is_edited(
    opener, tmp_path, name
) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    toml = name.endswith("toml")
    path.write_text(file_of(0, "one", "more", toml=toml))
    async with opener(name) as spine:
        assert names_of(spine) == {"t": "one", "t1": "more"}
        await spine.append("s", event(1), CONTEXT)
        newest = spine.routes.history.newest
        assert (newest.revision, newest.action, newest.by) == (1, "edit", name)
        for serial, one in ((1, "two"), (0, "three"), (1, "four")):  # nobody else changed anything
            rename_over(path, file_of(serial, one, toml=toml))
            before = spine.routes.revision
            await spine.routes.history.wait(before)
            await look(spine)
            assert (names_of(spine), spine.routes.files) == ({"t": one}, {})
    async with opener(name) as spine:
        assert (spine.routes.revision, spine.routes.files) == (4, {})


async def test_a_declared_file_that_others_overtook_is_not_taken_and_said(opener, tmp_path) -> None:
    path = tmp_path / "routes.toml"
    path.write_text(file_of(0, "one"))
    async with opener("routes.toml") as spine:
        await spine.routes.update(named("api"), by="ada")
        reason = await said(spine, "routes.toml")
        assert reason == "not taken: it is for revision 0, the registry is at 2"
        path.write_text(file_of(3, "early"))
        await look(spine)
        await spine.routes.update(named("again"))  # and so the registry is at 3
        await look(spine)
        assert names_of(spine) == {"t": "again"}, "it could not know what revision 3 is"
        path.write_text(file_of(None, "two"))
        await look(spine)
        assert "it is for revision None" in spine.routes.files["routes.toml"]
        path.write_text(file_of(3, "two"))
        await mended(spine, "routes.toml")
        assert names_of(spine) == {"t": "two"}
    async with opener("routes.toml") as spine:
        assert spine.routes.files == {}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("serial = ", "routes.toml: "),
        ("serial = 0\nroutes = 1", "routes: "),
        ("\udcff", "not UTF-8"),
        (None, "it is not there"),
    ],
)
async def test_a_broken_declared_file_stops_nobody(opener, tmp_path, text, told) -> None:
    path = tmp_path / "routes.toml"
    if text is not None:
        path.write_text(text, errors="surrogateescape")
    async with opener("routes.toml") as spine:
        assert told in await said(spine, "routes.toml")
        await spine.routes.create(named("api"))
        path.write_text(file_of(1, "mended"))
        await mended(spine, "routes.toml")
        assert names_of(spine) == {"t": "mended"}


async def test_the_registrys_own_file_is_not_the_declared_one(opener) -> None:
    with pytest.raises(SettingsInvalid, match="the registry's own file"):
        async with opener(f"./{OWN}"):
            pass


async def test_both_files_can_be_edited_at_once(opener, own, tmp_path) -> None:
    async with opener("routes.toml", watch=False) as spine:
        await spine.routes.create(named("one"))
        own.write_text(edited(own, name="own"))
        (tmp_path / "routes.toml").write_text(file_of(2, "own", "declared"))
        await look(spine)
        assert names_of(spine) == {"t": "own", "t1": "declared"}
        assert [c.by for c in await spine.routes.history.entries({}, None, 2)] == [
            "routes.toml",
            OWN,
        ]


# --- the watch ---


async def test_the_watch_is_supervised_and_ends_with_the_root(opener, own) -> None:
    async with opener() as spine:
        (files,) = [child for child in spine.tree().children if child.name == "route files"]
        assert [child.name for child in files.below.children] == ["watch"]
    async with opener(watch=False) as spine:
        assert all(child.name != "route files" for child in spine.tree().children)


async def test_its_thread_ends_by_itself(opener, own) -> None:
    async with opener() as spine:
        await spine.routes.create(named("one"))
        own.write_text(edited(own, name="two"))
        await spine.routes.history.wait(1)  # so it is there
        running = [one for one in threading.enumerate() if one.name == "route files"]
        assert running
    for thread in running:
        await anyio.to_thread.run_sync(thread.join, 10)
        assert not thread.is_alive()


@pytest.mark.slow
@pytest.mark.parametrize("loop", ["asyncio", "trio"])
def test_a_process_that_forgets_to_close_it_ends_all_the_same(tmp_path, loop) -> None:
    program = f"""
import anyio, pathlib
from eventspine.adapters.filesystem.registry.file_events import open_file_events
from eventspine.contracts.threads import THREADS
from eventspine.runtime.ticket import loop_caller
async def main():
    await open_file_events([pathlib.Path({str(tmp_path)!r})], loop_caller(), THREADS)
anyio.run(main, backend={loop!r})
pathlib.Path({str(tmp_path / "late")!r}).write_text("nobody is there to be told")
"""
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, timeout=30, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


async def test_without_notifications_files_are_looked_at(opener, own, monkeypatch) -> None:
    def exhausted(folders: list[str], debug: bool, polling: bool, *more: Any) -> Any:
        if not polling:
            raise OSError("Too many open files (os error 24)")
        return RustNotify(folders, debug, polling, 20, *more[1:])

    monkeypatch.setattr("eventspine.adapters.filesystem.registry.file_events.RustNotify", exhausted)
    async with opener() as spine:
        await spine.routes.create(named("one"))
        own.write_text(edited(own, name="polled"))
        await spine.routes.history.wait(1)
        assert names_of(spine) == {"t": "polled"}


async def test_a_folder_that_is_not_there_is_an_outage_and_no_failed_start(
    opener, tmp_path
) -> None:
    async with opener("later/routes.toml") as spine:
        await said(spine, "later/routes.toml")
        (files,) = [child for child in spine.tree().children if child.name == "route files"]
        assert files.restarts == 0
        (tmp_path / "later").mkdir()
        (tmp_path / "later" / "routes.toml").write_text(file_of(0, "late"))
        await spine.routes.history.wait(0)  # the supervisor tries again
        assert names_of(spine) == {"t": "late"}


async def test_a_folder_that_is_replaced_is_watched_again(opener, own) -> None:
    async with opener() as spine:
        await spine.routes.create(named("one"))
        text = own.read_text()
        gone = own.parent.with_name("gone")
        own.parent.rename(gone)
        own.parent.mkdir()
        await said(spine, OWN)
        own.write_text(text)
        await mended(spine, OWN)
        own.write_text(edited(own, name="two"))
        await spine.routes.history.wait(1)
        assert names_of(spine) == {"t": "two"}


async def test_what_may_pass_by_itself_is_tried_again(opener, own, monkeypatch) -> None:
    monkeypatch.setattr("eventspine.services.routing.edits.RETRY_S", 0.01)
    async with opener() as spine:
        await spine.routes.create(named("one"))
        text = edited(own, name="two")
        own.unlink()
        own.mkdir()  # which cannot be read, whoever asks
        assert "Is a directory" in await said(spine, OWN)
        with pytest.raises(RegistryEditBroken):
            await spine.routes.update(named("three"))
        own.rmdir()
        own.write_text(text)
        await spine.routes.history.wait(1)
        assert names_of(spine) == {"t": "two"}
