from __future__ import annotations

import datetime
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from fulfillment_assets.orders.csv_reader import read_orders
from fulfillment_assets.orders.simulator import (
    FAULTS,
    LINE_FAULTS,
    Fault,
    SimulationPlan,
    simulate,
    write_csv,
)
from fulfillment_assets.orders.simulator.faults import break_line

PLAN = SimulationPlan(8_000, 5, datetime.date(2026, 3, 1), fault_share=0.1)


def lines_of(plan: SimulationPlan, path: Path) -> list[bytes]:
    write_csv(plan, path)
    return path.read_bytes().split(b"\n")[1:-1]


def faults_of(plan: SimulationPlan) -> list[str]:
    truth = pa.concat_tables([chunk.truth for chunk in simulate(plan)])
    names: list[str] = truth["fault"].to_pylist()
    return names


def test_the_asked_share_of_rows_is_faulty_and_every_kind_comes_equally_often() -> None:
    counts = Counter(faults_of(PLAN))
    sound = counts.pop("")
    assert 8_000 - sound == pytest.approx(800, abs=100)
    assert set(counts) == {fault.value for fault in Fault}
    assert max(counts.values()) - min(counts.values()) <= 1


def test_no_row_is_faulty_unless_asked() -> None:
    assert set(faults_of(SimulationPlan(1_000, 5, PLAN.start))) == {""}


def test_all_rows_can_be_faulty() -> None:
    assert "" not in faults_of(SimulationPlan(1_000, 5, PLAN.start, fault_share=1))


def test_sound_rows_are_written_as_without_faults_and_faulty_rows_are_not(tmp_path: Path) -> None:
    broken = lines_of(PLAN, tmp_path / "broken.csv")
    sound = lines_of(SimulationPlan(PLAN.count, PLAN.seed, PLAN.start), tmp_path / "sound.csv")
    assert len(broken) == len(sound) == PLAN.count
    for fault, one, other in zip(faults_of(PLAN), broken, sound, strict=True):
        assert (one == other) is (fault == "")


def test_the_reader_rejects_the_faulty_rows_and_no_other(tmp_path: Path) -> None:
    write_csv(PLAN, tmp_path / "orders.csv")
    rejected: set[int] = set()
    accepted: list[str] = []
    received = 0
    for batch in read_orders(tmp_path / "orders.csv"):
        rejected |= {row.row_number for row in batch.rejected}
        accepted += batch.orders["order_id"].to_pylist()
        received += batch.received
    faults = faults_of(PLAN)
    missed = [fault for row, fault in enumerate(faults, 1) if fault and row not in rejected]
    assert missed == []
    assert rejected == {row for row, fault in enumerate(faults, 1) if fault}
    assert received == PLAN.count
    assert accepted == [f"ORD-0005-{row:09d}" for row, fault in enumerate(faults, 1) if not fault]


def test_the_table_of_a_faulty_plan_is_text_and_holds_the_faults_of_cells() -> None:
    (chunk,) = simulate(PLAN)
    assert set(chunk.orders.schema.types) == {pa.string()}
    rows = {
        fault: chunk.orders.filter(pc.equal(chunk.truth["fault"], fault.value)) for fault in FAULTS
    }
    assert set(rows[Fault.MISSING_ORDER_ID]["order_id"].to_pylist()) == {None}
    assert {len(text) for text in rows[Fault.OVERLONG_ORDER_ID]["order_id"].to_pylist()} == {10_000}
    assert all("\0" in text for text in rows[Fault.NUL_IN_ORDER_ID]["order_id"].to_pylist())
    assert set(rows[Fault.UNKNOWN_MODE]["mode_of_shipment"].to_pylist()) == {"Pigeon"}
    order, ship, delivery, promised = (
        "order_date",
        "ship_date",
        "delivery_date",
        "promised_delivery_date",
    )
    for fault, earlier, later in (
        (Fault.DELIVERED_BEFORE_SHIPPED, delivery, ship),
        (Fault.PROMISED_BEFORE_ORDERED, promised, order),
        (Fault.SHIPPED_BEFORE_ORDERED, ship, order),
    ):
        assert pc.all(pc.less(rows[fault][earlier], rows[fault][later])).as_py()


@pytest.mark.parametrize(
    ("fault", "line"),
    [
        (Fault.TOO_FEW_CELLS, b"ORD-1,2"),
        (Fault.TOO_MANY_CELLS, b"ORD-1,2,3,surplus"),
        (Fault.INVALID_UTF8, b"ORD-\xff\xfe1,2,3"),
    ],
)
def test_a_line_is_broken(fault: Fault, line: bytes) -> None:
    assert fault in LINE_FAULTS
    assert break_line(b"ORD-1,2,3", fault) == line
