"""When a soak has passed, and when it has not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.soak import VICTIMS, WATCHED, Kill, Sample, Soak
from benchmarks.stream import Ledger

LEDGER = Ledger(produced=1_000, committed=1_000, lost=0, duplicated=0, dead_lettered=10)


def sample(second: int, each: int) -> Sample:
    return Sample(float(second), 0, dict.fromkeys(WATCHED, each))


GOOD = Soak(
    kills=[Kill(60.0 * n, victim, 500, 9.5) for n, victim in enumerate(VICTIMS, 1)],
    samples=[sample(second, 100) for second in range(301)],
    ledger=LEDGER,
    sent=1_000,
    allowed_lag=12_000,
    rollup_differences=0,
)


def broken(soak: Soak) -> list[str]:
    return [name for name, holds in soak.verdicts.items() if not holds]


def test_a_soak_passes_when_all_holds() -> None:
    assert broken(GOOD) == []


@pytest.mark.parametrize(
    ("soak", "name"),
    [
        (replace(GOOD, ledger=replace(LEDGER, committed=999, lost=1)), "nothing lost"),
        (replace(GOOD, sent=1_001), "nothing lost"),
        (replace(GOOD, ledger=replace(LEDGER, duplicated=1)), "nothing doubled"),
        (replace(GOOD, rollup_differences=1), "rollups equal a recomputation"),
        (
            replace(GOOD, kills=[*GOOD.kills, Kill(360, "run", 20_000, None)]),
            "lag below 12,000 before the next kill",
        ),
        (replace(GOOD, kills=GOOD.kills[1:]), "every kind of process was killed"),
        (
            replace(GOOD, kills=[*GOOD.kills, Kill(360, "-", 0, 1.0)]),
            "every kind of process was killed",
        ),
    ],
)
def test_what_does_not_hold_is_named(soak: Soak, name: str) -> None:
    assert broken(soak) == [name]


def test_memory_that_grows_after_the_warm_up_is_named() -> None:
    growing = [sample(second, 100 + second // 10) for second in range(301)]
    soak = replace(GOOD, samples=growing)
    assert soak.growth == pytest.approx(0.14, abs=0.03)
    assert broken(soak) == ["memory flat within 10%"]


def test_memory_of_the_warm_up_does_not_count() -> None:
    warming = [sample(second, min(100, second * 2)) for second in range(301)]
    assert broken(replace(GOOD, samples=warming)) == []


def test_moments_at_which_a_process_is_missing_do_not_count() -> None:
    missing = [Sample(float(second), None, {"code-server": 1}) for second in range(200, 300)]
    assert broken(replace(GOOD, samples=[*GOOD.samples[:200], *missing, sample(300, 100)])) == []
