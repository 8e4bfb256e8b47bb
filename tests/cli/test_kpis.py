"""`fulfillment kpis rebuild`: damaged rollups are mended, and the command says so."""

from __future__ import annotations

import pytest

from tests.cli.commands import Fulfillment
from tests.scoring.workplace import Workplace


@pytest.mark.usefixtures("on_workplace")
def test_a_rebuild_mends_damage_and_tells_how_much_there_was(
    workplace: Workplace, fulfillment: Fulfillment
) -> None:
    workplace.score(workplace.simulated(200))
    sound = workplace.rows("SELECT * FROM kpi_rollups ORDER BY 1, 2, 3, 4")
    workplace.execute("UPDATE kpi_rollups SET gap = gap + 1 WHERE ctid = '(0,1)'")
    outcome = fulfillment("kpis", "rebuild")
    assert outcome.status == 0
    assert outcome.out == f"{len(sound):,} rollup rows rebuilt; 2 had differed.\n"
    assert workplace.rows("SELECT * FROM kpi_rollups ORDER BY 1, 2, 3, 4") == sound
    assert "; 0 had differed." in fulfillment("kpis", "rebuild").out
