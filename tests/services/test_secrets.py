"""Secrets of routes: declared, there at the start, used where the backend is, shown nowhere."""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import Any

import pytest

from eventspine.bootstrap import open_spine
from eventspine.contracts.context import RequestContext
from eventspine.contracts.errors import (
    InvalidRoute,
    SecretUnavailable,
    SettingsInvalid,
    UploadRefused,
)
from eventspine.contracts.route import ResourceKind, RouteSpec
from eventspine.contracts.settings import Settings

pytestmark = pytest.mark.anyio
CONTEXT = RequestContext(tenant_id="t", env="e", mode="lab")
OTHER = RequestContext(tenant_id="u", env="e", mode="lab")
CANARY = b"canary-5up3r-s3cret-value"
VARIABLE = "EVENTSPINE_TEST_UPLOAD_KEY"


def settings(**secrets: dict[str, str]) -> Settings:
    return Settings.model_validate({"secrets": secrets})


def objects_route(
    context: RequestContext = CONTEXT, backend: str = "filesystem", **config: Any
) -> RouteSpec:
    return RouteSpec(
        resource_kind=ResourceKind.OBJECT_STORE,
        tenant_id=context.tenant_id,
        env=context.env,
        mode=context.mode,
        backend_type=backend,
        config=config,
    )


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "upload.key"
    path.write_bytes(CANARY + b"\n")
    return path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "root").mkdir()
    return tmp_path / "root"


@pytest.mark.parametrize("backend", ["filesystem", "memory"])
@pytest.mark.parametrize("source", ["file", "variable"])
async def test_processes_with_one_secret_take_each_others_addresses(
    tmp_path, key_file, monkeypatch, backend, source
) -> None:
    monkeypatch.setenv(VARIABLE, CANARY.decode())
    of = {"file": str(key_file)} if source == "file" else {"variable": VARIABLE}
    tokens: list[str] = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        async with open_spine(tmp_path / name, settings=settings(key=of)) as spine:
            await spine.routes.create(objects_route(backend=backend, signing_key="secret://key"))
            for token in tokens:
                assert (await spine.upload_grant(token)).key == "k"
            tokens.append((await spine.objects(CONTEXT).presign_upload("k")).token)
    async with open_spine(tmp_path / "one", settings=settings(key=of)) as spine:
        assert (await spine.upload_grant(tokens[1])).key == "k", "it holds over a restart"


async def test_without_a_secret_of_its_own_a_route_has_the_roots(tmp_path, root) -> None:
    (tmp_path / "two").mkdir()
    async with open_spine(root, settings=Settings()) as spine:
        await spine.routes.create(objects_route())
        token = (await spine.objects(CONTEXT).presign_upload("k")).token
        assert (await spine.upload_grant(token)).key == "k"
    async with open_spine(tmp_path / "two", settings=Settings()) as spine:
        await spine.routes.create(objects_route())
        with pytest.raises(UploadRefused):
            await spine.upload_grant(token)


async def test_the_key_of_one_route_signs_for_no_other(root, key_file) -> None:
    async with open_spine(root, settings=settings(key={"file": str(key_file)})) as spine:
        await spine.routes.create(objects_route(signing_key="secret://key"))
        mine = (await spine.objects(CONTEXT).presign_upload("k")).token
        await spine.routes.create(objects_route(OTHER, signing_key="secret://key"))
        theirs = (await spine.objects(OTHER).presign_upload("k")).token
        assert (await spine.upload_grant(theirs)).tenant_id == "u"
        await spine.routes.update(objects_route(OTHER))  # which has the root's key from now on
        with pytest.raises(UploadRefused, match="another key"):
            await spine.upload_grant(theirs)
        assert (await spine.upload_grant(mine)).tenant_id == "t"
        with pytest.raises(UploadRefused, match="the signature is wrong"):
            await spine.upload_grant(mine[:-4] + "AAAA")


async def test_a_new_value_is_taken_when_the_route_is_opened_again(root, key_file) -> None:
    async with open_spine(root, settings=settings(key={"file": str(key_file)})) as spine:
        route = await spine.routes.create(objects_route(signing_key="secret://key"))
        old = (await spine.objects(CONTEXT).presign_upload("k")).token
        key_file.write_bytes(b"another value of enough bytes")
        assert (await spine.upload_grant(old)).key == "k", "not read again by itself"
        await spine.routes.update(route.spec.model_copy(update={"tier": "gold"}))
        with pytest.raises(UploadRefused):
            await spine.upload_grant(old)


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ({"file": "not-there"}, "file not-there is not there"),
        ({"file": "."}, "file .: Is a directory"),
        ({"file": "empty"}, "file empty does not hold 1 to 65536 bytes"),
        ({"file": "long"}, "file long does not hold 1 to 65536 bytes"),
        ({"variable": "EVENTSPINE_TEST_UNSET"}, "variable EVENTSPINE_TEST_UNSET is not there"),
    ],
)
async def test_a_secret_that_is_missing_is_told_at_the_start_by_its_name(
    root, source, told
) -> None:
    (root / "empty").write_bytes(b"\n")
    (root / "long").write_bytes(bytes(70_000))
    with pytest.raises(SecretUnavailable) as caught:
        async with open_spine(root, settings=settings(key=source)):
            pass
    assert str(caught.value) == f"secret://key: {told}"
    assert caught.value.fields == {"reference": "secret://key"}
    async with open_spine(root, settings=Settings()):
        pass  # the root is free again


async def test_a_route_names_only_secrets_that_are_declared(root, key_file) -> None:
    async with open_spine(root, settings=settings(key={"file": str(key_file)})) as spine:
        with pytest.raises(InvalidRoute, match=r"config: secret://other: it is not declared"):
            await spine.routes.create(objects_route(signing_key="secret://other"))
        with pytest.raises(
            InvalidRoute, match=r"config\.signing_key: .*the value itself"
        ) as caught:
            await spine.routes.create(objects_route(signing_key=CANARY.decode()))
        assert CANARY.decode() not in repr(caught.value.fields) + str(caught.value)
        with pytest.raises(InvalidRoute, match=r"config\.root: this field takes no reference"):
            await spine.routes.create(objects_route(root="secret://key"))
        stream = objects_route(signing_key="secret://key")
        stream = stream.model_copy(update={"resource_kind": ResourceKind.EVENT_STREAM})
        with pytest.raises(InvalidRoute, match=r"config\.signing_key: this field takes no"):
            await spine.routes.create(stream)
        assert spine.routes.list() == []


async def test_a_secret_that_goes_makes_its_route_stale_and_no_other(root, key_file) -> None:
    declared = settings(key={"file": str(key_file)})
    async with open_spine(root, settings=declared) as spine:
        await spine.routes.create(objects_route(OTHER))
        route = await spine.routes.create(objects_route(signing_key="secret://key"))
        key_file.unlink()
        await spine.routes.update(route.spec.model_copy(update={"tier": "gold"}))
        health = spine.routes.health(route.key)
        assert (health.state, health.serving_revision) == ("stale", route.revision)
        assert health.reason is not None
        assert "secret://key: file" in health.reason
        await spine.objects(CONTEXT).put_object("k", b"still")
    async with open_spine(root, settings=Settings()) as spine:  # and now it is not declared either
        assert spine.routes.health(route.key).state == "stale"
        assert spine.ready()["ready"]
        await spine.objects(OTHER).put_object("k", b"served")


async def test_a_signing_key_that_is_too_short_opens_nothing(root) -> None:
    (root / "short").write_bytes(b"fifteen bytes!!")
    async with open_spine(root, settings=settings(key={"file": "short"})) as spine:
        trial = await spine.routes.dry_run(objects_route(signing_key="secret://key"), create=True)
        assert not trial.probe.ok
        assert "a signing key has at least 16 bytes" in (trial.probe.detail or "")
        route = await spine.routes.create(objects_route(signing_key="secret://key"))
        assert spine.routes.health(route.key).state == "stale"


async def test_a_declared_backend_needs_a_declared_secret(root) -> None:
    backend = {
        "backend_type": "filesystem",
        "config": {"signing_key": "secret://key"},
        "kinds": ["object_store"],
        "tenants": ["*"],
        "modes": ["lab"],
    }
    with pytest.raises(SettingsInvalid, match=r"backends\.b: secret://key is not declared"):
        async with open_spine(root, settings=Settings.model_validate({"backends": {"b": backend}})):
            pass


async def test_a_value_in_a_declared_backend_is_refused_and_not_repeated(root) -> None:
    backend = {
        "backend_type": "memory",
        "config": {"signing_key": CANARY.decode()},
        "kinds": ["object_store"],
        "tenants": ["*"],
        "modes": ["lab"],
    }
    declared = Settings.model_validate({"backends": {"b": backend}})
    with pytest.raises(SettingsInvalid, match=r"config\.signing_key: .*the value itself") as caught:
        async with open_spine(root, settings=declared):
            pass
    lines = "".join(traceback.format_exception(caught.value))
    assert CANARY.decode() not in lines
