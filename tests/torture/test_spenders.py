"""64 spenders of one ledger, and a server that is killed again and again under them.

Never over a limit, at any line of the ledger's file; every spend that was acknowledged is in it
once, and the balances that the server tells are the sums of its lines (ledger_audit.py).
"""

from __future__ import annotations

import random
from datetime import UTC, datetime
from pathlib import Path

import anyio
import httpx
import pytest

from tests.torture.ledger_audit import LedgerAudit, Told
from tests.torture.report import Report
from tests.torture.server import Server
from tests.torture.spenders import LIMITS, POLICIES, UNITS, Spender
from tests.torture.test_sigkill import ROUNDS, SEED, report_of

SPENDERS = 64
KILLS = max(3, ROUNDS // 10)
LEDGER = "budget_store/t_demo/dev/_/ledger.jsonl"

pytestmark = [pytest.mark.torture, pytest.mark.slow, pytest.mark.timeout(240 + 20 * ROUNDS)]


def test_a_ledger_is_never_overspent_by_spenders_of_a_server_that_is_killed(
    tmp_path: Path,
) -> None:
    server, report = Server(tmp_path), report_of("spenders")
    limits, policies = len(LIMITS) * len(UNITS), len(POLICIES) * len(UNITS)
    report.data = f"{SPENDERS} spenders, {limits} limits, {policies} policies, 2 units"
    server.init()
    try:
        anyio.run(_spent, server, report)
    finally:
        server.cleanup()
        report.write()
    print(report.as_markdown())


async def _spent(server: Server, report: Report) -> None:
    rng, told = random.Random(f"spenders {SEED}"), Told()
    server.start()
    report.ready_s.append(await server.wait_ready())
    bounds = httpx.Limits(max_connections=SPENDERS + 1)
    async with httpx.AsyncClient(base_url=server.url, timeout=20, limits=bounds) as client:
        await _set_limits(client)
        spenders = [
            Spender(client, told, random.Random(f"{SEED} {n}"), f"s{n}") for n in range(SPENDERS)
        ]
        async with anyio.create_task_group() as tasks:
            for spender in spenders:
                tasks.start_soon(spender.run)
            for _ in range(KILLS):
                began = anyio.current_time()
                goal = len(told.entries) + rng.randrange(20, 200)
                with anyio.fail_after(60):
                    while len(told.entries) < goal:
                        server.check_alive()
                        await anyio.sleep(0.005)
                await server.kill()
                report.fault("SIGKILL under load")
                server.start()
                report.ready_s.append(await server.wait_ready())
                report.cycle_s.append(anyio.current_time() - began)
            for spender in spenders:
                spender.stopping = True
        balances = await _balances(client)
    report.stop_s.append(await server.stop(20))
    _judge(server.root / LEDGER, told, balances, report)
    report.figures["requests tried again"] = sum(spender.retries for spender in spenders)
    report.done()


async def _set_limits(client: httpx.AsyncClient) -> None:
    route = {"resource_kind": "tabular_store", "tenant_id": "t_system", "env": "dev", "mode": "lab"}
    made = await client.post("/v1/routes", json={**route, "backend_type": "filesystem"})
    made.raise_for_status()
    for unit in UNITS:
        for account, window, amount in LIMITS:
            body = {"account": account, "window": window, "amount": amount, "unit": unit}
            (await client.put("/v1/budget/limits", json=body)).raise_for_status()
        for n, (account, window, amount) in enumerate(POLICIES):
            policy = {"account": account, "window": window, "amount": amount, "unit": unit}
            address = f"/v1/budget/policies/{unit}-{n}"
            (await client.put(address, json=policy)).raise_for_status()


Balances = dict[tuple[str, str, str], tuple[str, int, int]]


async def _balances(client: httpx.AsyncClient) -> Balances:
    """What the server says of every account that has a limit."""
    found = {}
    for unit in UNITS:
        for account, window, _ in LIMITS:
            asked = {"account": account, "window": window, "unit": unit}
            answer = (await client.get("/v1/budget/balance", params=asked)).raise_for_status()
            one = answer.json()
            found[account, unit, window] = (one["period"], one["posted"], one["pending"])
    return found


def _judge(path: Path, told: Told, balances: Balances, report: Report) -> None:
    policies = {(account, unit, of): most for account, of, most in POLICIES for unit in UNITS}
    audit = LedgerAudit(policies)
    audit.read(path.read_bytes().splitlines())
    audit.compare(told)
    now = datetime.now(UTC).isoformat()
    for (account, unit, window), (period, posted, pending) in balances.items():
        sums = audit.used(account, unit, window, period or now)
        if sums[0] != posted or pending > sums[1]:  # what is overdue counts no more
            audit.wrong.append(f"{account} {window}: {posted}, {pending} told, the file has {sums}")
    report.violations = len(audit.wrong)
    report.figures |= {
        "lines of the ledger": audit.count,
        "entries acknowledged": len(told.entries),
        "spends refused for want of room": len(told.refused),
    }
    assert not audit.wrong, f"seed {SEED}: {audit.wrong[:10]}"
    assert told.entries, f"seed {SEED}: nobody got through"
    assert told.refused, f"seed {SEED}: no limit was met"
