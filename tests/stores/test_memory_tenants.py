"""What a tenant's memory may hold, over all namespaces, projects and surfaces: exact, always."""

from __future__ import annotations

import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from anyio import create_task_group

import eventspine
from eventspine import RequestContext, Settings, Spine
from eventspine.contracts.entries import later
from eventspine.contracts.errors import EntryNotFound, MemoryFull, TooLarge
from eventspine.contracts.limits import Limits
from eventspine.contracts.route import ResourceKind, RouteSpec
from eventspine.contracts.settings import LabSettings
from eventspine.services.memory_tally import MemoryTally

SURFACES = ("_", "chat")
PROJECTS = ("default", "p")
NAMESPACES = ("session", "cache")
SEED = time.time_ns() % 1_000_000_007


def context(project: str = "default", surface: str = "_", tenant: str = "t_a") -> RequestContext:
    return RequestContext(
        tenant_id=tenant, env="dev", mode="lab", project_id=project, surface_id=surface
    )


@pytest.fixture(params=["filesystem", "memory"])
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@asynccontextmanager
async def opened(root: Path, backend: str, **limits: float) -> AsyncIterator[Spine]:
    settings = Settings(lab=LabSettings(), limits=Limits.model_validate(limits))
    async with eventspine.open(root, lab=True, settings=settings) as spine:
        everybody = RouteSpec(
            resource_kind=ResourceKind.MEMORY_STORE,
            tenant_id="*",
            env="*",
            project_id="*",
            mode="lab",
            backend_type=backend,
        )
        if spine.routes.find(everybody.key) is None:
            await spine.routes.create(everybody)
        yield spine


class Full:
    """The block is refused for want of room, and the limit is this one."""

    def __init__(self, limit: str) -> None:
        self._limit = limit

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        assert isinstance(error, MemoryFull), f"not refused: {error!r}"
        assert error.fields["limit"] == self._limit
        return True


@pytest.mark.anyio
async def test_namespaces_projects_and_surfaces_share_the_limit_of_their_tenant(
    tmp_path: Path, backend: str
) -> None:
    async with opened(tmp_path, backend, memory_entries_per_tenant_max=3) as spine:
        await spine.memory(context()).set("a", 1)
        await spine.memory(context("p"), "cache").set("a", 1)
        await spine.memory(context(surface="chat")).set("a", 1)
        with Full("memory_entries_per_tenant_max"):
            await spine.memory(context("q"), "new").set("a", 1)
        with Full("memory_entries_per_tenant_max"):
            await spine.memory(context()).incr("b")
        await spine.memory(context()).set("a", 2)
        await spine.memory(context(tenant="t_b")).set("a", 1)
        assert await spine.memory(context("p"), "cache").delete("a")
        await spine.memory(context("q"), "new").set("a", 1)


@pytest.mark.anyio
async def test_bytes_count_and_what_can_never_fit_is_too_large(
    tmp_path: Path, backend: str
) -> None:
    async with opened(tmp_path, backend, memory_bytes_per_tenant_max=2000) as spine:
        big, small = spine.memory(context()), spine.memory(context("p"))
        await big.set("k", "x" * 1500)
        with Full("memory_bytes_per_tenant_max"):
            await small.set("k", "x" * 600)
        await small.set("k", "x" * 400)
        with Full("memory_bytes_per_tenant_max"):
            await big.set("k", "x" * 1700)
        await big.set("k", "x" * 100)
        await small.set("k", "x" * 1700)
        with pytest.raises(TooLarge) as refused:
            await small.set("j", "x" * 2000)
        assert refused.value.fields["limit"] == "memory_bytes_per_tenant_max"


@pytest.mark.anyio
async def test_what_a_process_before_has_written_counts(tmp_path: Path) -> None:
    async with opened(tmp_path, "filesystem") as spine:
        for project in PROJECTS:
            for namespace in NAMESPACES:
                await spine.memory(context(project), namespace).set("a", 1)
    async with opened(tmp_path, "filesystem", memory_entries_per_tenant_max=5) as spine:
        await spine.memory(context(), "new").set("a", 1)
        with Full("memory_entries_per_tenant_max"):
            await spine.memory(context(), "new").set("b", 1)
        assert await spine.memory(context("p"), "cache").get("a") == 1


@pytest.mark.anyio
async def test_a_copy_beside_a_namespace_is_no_namespace(tmp_path: Path) -> None:
    async with opened(tmp_path, "filesystem") as spine:
        for entry in ("a", "b", "c"):
            await spine.memory(context(), "session").set(entry, 1)
    folder = tmp_path / "memory_store" / "t_a" / "dev" / "_"
    for file in ("session.jsonl", "session.idx"):
        (folder / file.replace(".", "~a.")).write_bytes((folder / file).read_bytes())
    async with opened(tmp_path, "filesystem", memory_entries_per_tenant_max=4) as spine:
        await spine.memory(context(), "session").set("d", 1)
        with Full("memory_entries_per_tenant_max"):
            await spine.memory(context(), "session").set("e", 1)


@pytest.mark.anyio
async def test_what_has_expired_elsewhere_makes_room(tmp_path: Path, backend: str) -> None:
    limits = {"memory_entries_per_tenant_max": 2, "memory_sweep_s": 3600.0}
    async with opened(tmp_path, backend, **limits) as spine:
        other, here = spine.memory(context("p")), spine.memory(context())
        await other.set("a", 1, ttl_s=60)
        await other.set("b", 1)
        with Full("memory_entries_per_tenant_max"):
            await here.set("c", 1)
        later_on = later(spine._journals.now(), 60)
        spine._journals.now = lambda: later_on  # type: ignore[method-assign]
        await here.set("c", 1)
        with Full("memory_entries_per_tenant_max"):
            await here.set("d", 1)


@pytest.mark.anyio
async def test_the_limit_is_exact_while_everybody_writes_at_once(
    tmp_path: Path, backend: str
) -> None:
    async with opened(tmp_path, backend, memory_entries_per_tenant_max=25) as spine:
        kept: list[str] = []

        async def writer(n: int) -> None:
            memory = spine.memory(context(PROJECTS[n % 2], SURFACES[n // 2 % 2]), f"n{n % 5}")
            for k in range(6):
                try:
                    await memory.set(f"{n}-{k}", k)
                except MemoryFull:
                    continue
                kept.append(f"{n}-{k}")

        async with create_task_group() as tasks:
            for n in range(16):
                tasks.start_soon(writer, n)
        assert len(kept) == 25
        with Full("memory_entries_per_tenant_max"):
            await spine.memory(context()).set("more", 1)


@pytest.mark.anyio
async def test_it_is_exact_also_while_the_first_writes_have_it_counted(tmp_path: Path) -> None:
    """A root that was not used yet: reads, deletions and writes of all namespaces at once."""
    spaces = [(project, f"n{n}") for project in PROJECTS for n in range(4)]
    async with opened(tmp_path, "filesystem") as spine:
        for project, namespace in spaces:
            for key in "abc":
                await spine.memory(context(project), namespace).set(key, 1)
    most = 3 * len(spaces) + 5
    async with opened(tmp_path, "filesystem", memory_entries_per_tenant_max=most) as spine:

        async def user(project: str, namespace: str) -> None:
            memory = spine.memory(context(project), namespace)
            assert await memory.delete("a")
            for n in range(4):
                with suppress(MemoryFull):
                    await memory.set(f"new-{n}", 1)
            assert await memory.get("b") == 1

        async with create_task_group() as tasks:
            for space in spaces:
                tasks.start_soon(user, *space)
        with Full("memory_entries_per_tenant_max"):
            for n in range(most):
                await spine.memory(context("q")).set(f"fill-{n}", 1)
        pages = [await spine.memory(context(*one[:1]), one[1]).scan() for one in spaces]
        filled = await spine.memory(context("q")).scan()
        assert sum(len(page.entries) for page in [*pages, filled]) == most


@pytest.mark.anyio
async def test_random_programs_agree_with_a_plain_sum(tmp_path: Path, backend: str) -> None:
    rng, entries_max, bytes_max = random.Random(SEED), 8, 1024
    limits = {
        "memory_entries_per_tenant_max": entries_max,
        "memory_bytes_per_tenant_max": bytes_max,
        "memory_entries_max": 5,
    }
    model: dict[tuple[str, ...], dict[str, int]] = {}
    async with opened(tmp_path, backend, **limits) as spine:
        for step in range(400):
            where = (rng.choice(PROJECTS), rng.choice(SURFACES), rng.choice(NAMESPACES))
            memory = spine.memory(context(*where[:2]), where[2])
            own, key = model.setdefault(where, {}), rng.choice("abcdef")
            size = rng.choice([2, 40, 200, 700])
            try:
                match rng.choice(["set", "set", "set", "delete", "touch", "get"]):
                    case "set":
                        await memory.set(key, "x" * (size - 3) if size > 2 else 1)
                        own[key] = size
                    case "delete":
                        assert await memory.delete(key) == (own.pop(key, None) is not None)
                    case "touch":
                        await memory.touch(key, 5000)
                    case _:
                        assert (await memory.get(key) is not None) == (key in own)
                refused = None
            except EntryNotFound:
                assert key not in own
                continue
            except MemoryFull as error:
                refused = str(error.fields["limit"])
            total = sum(len(one) for one in model.values())
            used = sum(size for one in model.values() for size in one.values())
            assert total <= entries_max, f"seed {SEED}, step {step}"
            assert used <= bytes_max, f"seed {SEED}, step {step}"
            if refused is not None:
                grown = size - own.get(key, 0)
                reasons = {
                    "memory_entries_max": key not in own and len(own) == 5,
                    "memory_entries_per_tenant_max": key not in own and total == entries_max,
                    "memory_bytes_per_tenant_max": used + grown > bytes_max,
                }
                assert reasons[refused], f"seed {SEED}, step {step}: {refused}"


@pytest.mark.anyio
async def test_after_a_backend_has_forgotten_it_is_counted_anew(
    tmp_path: Path, backend: str
) -> None:
    async with opened(tmp_path, backend, memory_entries_per_tenant_max=2) as spine:
        memory = spine.memory(context())
        await memory.set("a", 1)
        host, _ = await spine._journals.place(ResourceKind.MEMORY_STORE, context())
        host._forget("as after a failed commit")
        await spine.memory(context("p")).set("a", 1)
        with Full("memory_entries_per_tenant_max"):
            await spine.memory(context("q")).set("a", 1)


class Plain:
    """A namespace of a tally, as far as it looks."""

    def __init__(self) -> None:
        self.count = 0
        self.size = 0


def test_a_tally_is_the_sum_of_the_others_however_they_change() -> None:
    rng, tally = random.Random(SEED), MemoryTally({})
    spaces = {("b", f"k{n}"): Plain() for n in range(5)}
    for _ in range(500):
        place = rng.choice(list(spaces))
        others = tally.look(place, spaces[place])
        assert others.entries == sum(s.count for p, s in spaces.items() if p != place)
        assert others.bytes == sum(s.size for p, s in spaces.items() if p != place)
        spaces[place].count, spaces[place].size = rng.randrange(9), rng.randrange(99)
