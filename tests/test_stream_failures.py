"""Each process on the way of the stream is killed while events come in: each event counts once.

The long form is `make soak`.
"""

from __future__ import annotations

import pytest
from filelock import FileLock

from benchmarks import soak
from benchmarks.private_platform import StreamSettings

SECONDS_BETWEEN_KILLS = 7.0
EVENTS_PER_SECOND = 100.0


@pytest.mark.timeout(400)
@pytest.mark.usefixtures("kafka_jars")
def test_nothing_is_lost_or_doubled_whatever_is_killed(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    minutes = SECONDS_BETWEEN_KILLS * (len(soak.VICTIMS) + 1) / 60
    with FileLock(tmp_path_factory.getbasetemp().parent / "platform.lock"):
        done = soak.run(
            minutes,
            EVENTS_PER_SECOND,
            fault_share=0.05,
            kill_every=SECONDS_BETWEEN_KILLS,
            stream=StreamSettings(1_000, 1.0, "warm"),
            tell=print,
        )
    assert {kill.victim for kill in done.kills} == set(soak.VICTIMS)
    ledger = done.ledger
    assert (ledger.produced, ledger.lost, ledger.duplicated) == (done.sent, 0, 0)
    assert ledger.dead_lettered == pytest.approx(0.05 * ledger.produced, rel=0.3)
    assert done.rollup_differences == 0
