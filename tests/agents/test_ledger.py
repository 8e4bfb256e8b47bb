"""Effects and their rows in the ledger: together or not at all, and never twice."""

from __future__ import annotations

import datetime as dt
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest
import sqlalchemy as sa

from fulfillment_assets.agents import ledger
from fulfillment_assets.knowledge.rulebook import Rulebook
from fulfillment_assets.settings import PROJECT_ROOT
from tests.agents.examples import AT_RISK, Office
from tests.scoring.fixtures import scorer, workplace  # noqa: F401 - fixtures
from tests.scoring.workplace import LATE as RISKY
from tests.scoring.workplace import Workplace

EFFECTS = """
SELECT (SELECT count(*) FROM tool_actions) AS actions,
       (SELECT count(*) FROM order_interventions) AS interventions
"""


def at_once(calls: list[Callable[[], dict[str, Any]]]) -> list[dict[str, Any]]:
    """The results of calls that are made at the same moment."""
    gate = threading.Barrier(len(calls))

    def run(call: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        gate.wait()
        return call()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(run, calls))


@pytest.mark.parametrize("same_deviation", [True, False])
def test_of_agents_that_refund_one_order_at_once_one_pays(
    office: Office, same_deviation: bool
) -> None:
    office.order()
    first = office.deviation()
    second = first if same_deviation else office.deviation(kind="fulfillment_gap")
    agents = [office.agent("payment", one) for one in (first, second) * 3]
    results = at_once(
        [partial(agent, "issue_refund", amount_usd=40, reason="late") for agent in agents]
    )
    statuses = sorted(one["status"] for one in results)
    assert statuses.count("done") == 1
    assert statuses.count("refused") == (0 if same_deviation else 3)
    assert office.value("SELECT sum(amount_usd) FROM tool_actions") == 40


def test_a_refund_and_a_credit_at_once_are_one_compensation(office: Office) -> None:
    office.order(cost_of_product=98.0, product_importance="low")
    deviations = [office.deviation(), office.deviation(kind="fulfillment_gap")]
    refund, credit = (office.agent("payment", one) for one in deviations)
    results = at_once(
        [
            partial(refund, "issue_refund", amount_usd=9, reason="late"),
            partial(credit, "apply_credit", amount_usd=2, reason="late"),
        ]
    )
    assert [one["status"] for one in results].count("done") == 1
    assert len(office.actions()) == 1


def test_a_block_never_takes_in_more_than_its_capacity(office: Office) -> None:
    capacity = office.book.warehouses["E"].daily_transfer_capacity
    agents = []
    for number in range(capacity + 12):
        order = office.order(f"O-{number}", start=AT_RISK, warehouse_block="D")
        agents.append(office.agent("shipment", office.deviation(order)))
    with ThreadPoolExecutor(8) as pool:
        results = list(
            pool.map(lambda a: a("transfer_warehouse", to_block="E", reason="r"), agents)
        )
    rules = [one["rule"] for one in results if one["status"] == "refused"]
    assert rules == ["WE-2.1"] * 12
    assert office.value("SELECT count(*) FROM tool_actions") == capacity
    left = sorted(one["capacity_left"] for one in results if one["status"] == "done")
    assert left == list(range(capacity))


def test_an_order_that_is_being_scored_is_waited_for_and_seen_as_it_is_then(
    office: Office,
) -> None:
    office.order()
    agent = office.agent("payment")
    with ThreadPoolExecutor(1) as pool:
        with office.engine.begin() as scoring:
            scoring.exec_driver_sql("UPDATE orders SET payment_status = 'pending'")
            waiting = pool.submit(agent, "issue_refund", amount_usd=40, reason="late")
            time.sleep(0.2)
            assert not waiting.done()
        assert waiting.result(timeout=20)["rule"] == "RF-1.1"


KILLED = """
import os, sys, uuid
from pathlib import Path
from fulfillment_assets.agents import ledger
from fulfillment_assets.knowledge.rulebook import load_rules
from fulfillment_assets.settings import PROJECT_ROOT
from fulfillment_assets.store.connection import create_engine
from tests.agents.examples import Office

def die(*_arguments):
    print("written", flush=True)
    sys.stdin.read()

record = ledger._record
def record_and_wait(connection, *arguments):
    result = record(connection, *arguments)
    die()
    return result
ledger._record = record_and_wait

office = Office(create_engine(sys.argv[1]), load_rules(PROJECT_ROOT / "knowledge_base"))
office.agent("payment", uuid.UUID(sys.argv[2]))("issue_refund", amount_usd=40, reason="late")
"""


def test_killed_between_effect_and_commit_it_leaves_neither(office: Office) -> None:
    office.order()
    deviation = office.deviation()
    url = office.engine.url.render_as_string(hide_password=False)
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, url, str(deviation)],
        cwd=PROJECT_ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "written\n"
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    again = office.agent("payment", deviation)("issue_refund", amount_usd=40, reason="late")
    assert again["status"] == "done"  # not "repeated": nothing was left
    assert office.rows(EFFECTS) == [{"actions": 1, "interventions": 1}]


def test_an_effect_that_fails_leaves_no_row(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    office.order()
    monkeypatch.setattr(ledger, "_INTERVENE", sa.text("SELECT 1 / 0"))
    with pytest.raises(sa.exc.DataError, match="division by zero"):
        office.agent("payment")("issue_refund", amount_usd=40, reason="late")
    assert office.actions() == []


def test_the_next_event_of_an_order_neither_loses_nor_contradicts_a_decision(
    workplace: Workplace,  # noqa: F811
    rulebook: Rulebook,
) -> None:
    state = RISKY | {
        "order_id": "O-1",
        "delivery_date": "",
        "ship_date": "",
        "order_status": "processing",
        "warehouse_block": "F",
        "mode_of_shipment": "Road",
        "weight_in_gms": "1500",
    }
    workplace.score(workplace.orders(state))
    office = Office(workplace.engine, rulebook)
    deviation = workplace.value("SELECT id FROM deviations WHERE order_id = 'O-1'")
    now = dt.datetime(2026, 3, 2, 10, tzinfo=dt.UTC)
    agent = office.agent("shipment", deviation, now=now)
    done = agent("transfer_warehouse", to_block="C", reason="faster")
    assert done["status"] == "done"
    assert workplace.rollup_differences() == 0
    shipped = state | {"order_status": "shipped", "ship_date": "2026-03-03T10:00:00Z"}
    workplace.score(workplace.orders(shipped, name="next.csv"))
    assert workplace.value("SELECT warehouse_block FROM orders") == "F"
    order = office.dossier().order
    assert (order.warehouse_block, order.order_status) == ("C", "shipped")
    assert workplace.rollup_differences() == 0
