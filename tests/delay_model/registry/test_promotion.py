"""Promotion and rollback: recorded, judged, and never half done."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from fulfillment_assets.delay_model.artifacts import CLASSIFIER_FILE, ModelFiles
from fulfillment_assets.delay_model.errors import ArtifactError
from fulfillment_assets.delay_model.registry.champion import ensure_champion
from fulfillment_assets.delay_model.registry.decisions import Decision, decisions
from fulfillment_assets.delay_model.registry.errors import (
    ChampionChangedError,
    NothingToRollBackToError,
    UnknownVersionError,
)
from fulfillment_assets.delay_model.registry.evidence import Verdict
from fulfillment_assets.delay_model.registry.holdout import freeze, reference_holdout
from fulfillment_assets.delay_model.registry.promotion import promote, rollback
from fulfillment_assets.delay_model.registry.versions import versions
from fulfillment_assets.delay_model.training.data import read_training_file
from fulfillment_assets.delay_model.training.fit import package, train
from fulfillment_assets.settings import PROJECT_ROOT
from tests.delay_model.registry.examples import (
    CORRUPTIONS,
    Corruption,
    all_flipped,
    champion,
    execute,
    flights_misread,
    forgetful,
    history,
    known,
    model,
    orders,
    rows,
    some_flipped,
    strong,
    version,
    weak,
)
from tests.orders.examples import csv_text, saved
from tests.scoring.workplace import wait_for

WEAK, STRONG = version(weak()), version(strong())

PROMOTE = """
import sys
from pathlib import Path
from fulfillment_assets.delay_model.registry.promotion import promote
from fulfillment_assets.store.connection import create_engine

url, version, models_dir = sys.argv[1:]
promote(create_engine(url), version, Path(models_dir))
"""


@pytest.fixture
def challenged(engine: Engine, weak_dir: Path) -> Engine:
    """A database whose champion is the weak model, and that knows the strong one, too."""
    ensure_champion(engine, weak_dir)
    known(engine, strong())
    return engine


@pytest.fixture
def other(challenged: Engine) -> str:
    """A third known version."""
    (name,) = known(challenged, model(1_500, 7))
    return name


def refused(engine: Engine, name: str, models_dir: Path, *, force: bool = False) -> Decision:
    """Try to promote, and see it refused, recorded, and without effect."""
    before, past = champion(engine), history(engine)
    decision = promote(engine, name, models_dir, force=force, reason="why not" if force else None)
    assert decision is not None
    assert (decision.action, decision.forced) == ("refused", force)
    assert champion(engine) == before
    assert history(engine) == [*past, ("refused", name, before)]
    with engine.connect() as connection:
        assert decisions(connection)[-1] == decision
    return decision


@contextmanager
def decisions_stalled(engine: Engine) -> Iterator[None]:
    """Whoever records a decision waits, for as long as this lasts."""
    with engine.begin() as connection:
        connection.execute(sa.text("LOCK TABLE model_decisions IN EXCLUSIVE MODE"))
        yield


def waiting(engine: Engine, statement: str) -> Callable[[], bool]:
    """Whether a session waits for a lock with such a statement."""
    query = (
        "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() "
        "AND wait_event_type = 'Lock' AND query LIKE :statement"
    )
    return lambda: bool(rows(engine, query, statement=f"{statement}%"))


# --- judged


def test_a_better_challenger_is_promoted_on_recorded_evidence(
    challenged: Engine, weak_dir: Path
) -> None:
    decision = promote(challenged, STRONG, weak_dir, by="ada")
    assert decision is not None
    assert champion(challenged) == STRONG
    assert history(challenged) == [("first", WEAK, None), ("promoted", STRONG, WEAK)]
    assert (decision.forced, decision.decided_by) == (False, "ada")
    verdict = Verdict.model_validate(decision.evidence)
    assert verdict.passed
    assert (verdict.champion.version, verdict.challenger.version) == (WEAK, STRONG)
    assert verdict.holdout.sha256 == reference_holdout().sha256
    assert decision.reason == verdict.summary
    with challenged.connect() as connection:
        assert decisions(connection)[-1] == decision
    assert rows(
        challenged, "SELECT since = :at AS same FROM model_champion", at=decision.decided_at
    )


def test_a_reason_that_is_given_stands_with_the_promotion(
    challenged: Engine, weak_dir: Path
) -> None:
    decision = promote(challenged, STRONG, weak_dir, reason="the new season")
    assert decision is not None
    assert decision.reason == "the new season"
    assert decision.evidence is not None


@pytest.mark.parametrize("corruption", CORRUPTIONS, ids=lambda one: one.__name__)
@pytest.mark.parametrize("frozen", [True, False], ids=["trusted orders judge", "reference judges"])
def test_a_challenger_of_corrupted_outcomes_is_refused(
    corruption: Corruption, frozen: bool, challenged: Engine, weak_dir: Path
) -> None:
    if frozen:
        with challenged.begin() as connection:
            freeze(connection, orders(8_000, 11))
    (name,) = known(challenged, model(1_500, 7, corruption))
    decision = refused(challenged, name, weak_dir)
    verdict = Verdict.model_validate(decision.evidence)
    assert decision.reason == " ".join(verdict.reasons)
    assert (verdict.holdout.sha256 == reference_holdout().sha256) is not frozen


def test_a_file_of_corrupted_outcomes_does_not_judge_the_model_that_learnt_from_it(
    challenged: Engine, weak_dir: Path, tmp_path: Path
) -> None:
    data = orders(1_500, 7, some_flipped)
    lines = [
        {"ID": "1", "Reached.on.Time_Y.N": str(late)}
        | {name: str(value) for name, value in row.items()}
        for row, late in zip(data.features.to_pylist(), data.late.tolist(), strict=True)
    ]
    corrupted = read_training_file(saved(tmp_path, csv_text(lines)))
    assert corrupted.source.kind == "file"
    (name,) = known(challenged, package(train(corrupted, repeats=1)))
    decision = refused(challenged, name, weak_dir)
    assert Verdict.model_validate(decision.evidence).holdout.kind == "simulator"
    assert rows(challenged, "SELECT * FROM model_holdouts") == []


def test_a_challenger_that_is_worse_in_a_segment_is_refused(
    challenged: Engine, weak_dir: Path
) -> None:
    (name,) = known(challenged, model(8_000, 6, flights_misread))
    decision = refused(challenged, name, weak_dir)
    assert "allowed for mode_of_shipment Flight (" in decision.reason
    assert "not shown to be better" not in decision.reason


def test_the_orders_frozen_last_judge(challenged: Engine, weak_dir: Path) -> None:
    with challenged.begin() as connection:
        holdout = freeze(connection, orders(8_000, 11))
    decision = promote(challenged, STRONG, weak_dir)
    assert decision is not None
    assert Verdict.model_validate(decision.evidence).holdout.sha256 == holdout.sha256


def test_to_promote_the_champion_is_nothing_to_decide(challenged: Engine, weak_dir: Path) -> None:
    assert promote(challenged, WEAK, weak_dir) is None
    assert promote(challenged, WEAK, weak_dir, force=True, reason="again") is None
    assert history(challenged) == [("first", WEAK, None)]


def test_an_unknown_version_is_an_error_and_no_decision(challenged: Engine, weak_dir: Path) -> None:
    with pytest.raises(UnknownVersionError, match="no model version 'lgbm-0'"):
        promote(challenged, "lgbm-0", weak_dir)
    assert history(challenged) == [("first", WEAK, None)]


def test_in_a_fresh_database_the_challenger_meets_the_model_of_the_folder(
    engine: Engine, weak_dir: Path
) -> None:
    known(engine, strong())
    assert promote(engine, STRONG, weak_dir) is not None
    assert history(engine) == [("first", WEAK, None), ("promoted", STRONG, WEAK)]


def test_with_no_champion_and_no_model_in_the_folder_the_challenger_is_the_first(
    engine: Engine, tmp_path: Path
) -> None:
    known(engine, strong())
    decision = promote(engine, STRONG, tmp_path, by="ada")
    assert decision is not None
    assert decision.action == "first"
    assert (champion(engine), history(engine)) == (STRONG, [("first", STRONG, None)])
    assert rows(engine, "SELECT decided_by FROM model_decisions") == [{"decided_by": "ada"}]


# --- by force


def test_by_force_a_worse_model_is_promoted_without_comparison(
    challenged: Engine, weak_dir: Path, other: str
) -> None:
    promote(challenged, STRONG, weak_dir)
    decision = promote(challenged, other, weak_dir, force=True, reason="a test in the shop")
    assert decision is not None
    assert (decision.action, decision.forced) == ("promoted", True)
    assert (decision.reason, decision.evidence) == ("a test in the shop", None)
    assert champion(challenged) == other


@pytest.mark.parametrize("reason", [None, "", "  "])
def test_force_needs_a_reason(reason: str | None, challenged: Engine, weak_dir: Path) -> None:
    with pytest.raises(ValueError, match="needs a reason: say why the comparison is skipped"):
        promote(challenged, STRONG, weak_dir, force=True, reason=reason)
    assert history(challenged) == [("first", WEAK, None)]


@pytest.mark.parametrize("force", [False, True], ids=["judged", "by force"])
@pytest.mark.parametrize(
    ("files", "words"),
    [
        (lambda: forgetful(strong()), "golden row 1 should be 0.123456"),
        (lambda: model(1_500, 7, all_flipped), "its label may be inverted"),
    ],
    ids=["a model that forgot", "an inverted label"],
)
def test_a_model_that_must_not_score_is_refused_even_by_force(
    files: Callable[[], ModelFiles], words: str, force: bool, engine: Engine, weak_dir: Path
) -> None:
    ensure_champion(engine, weak_dir)
    (name,) = known(engine, files())
    assert words in refused(engine, name, weak_dir, force=force).reason


@pytest.mark.parametrize("force", [False, True], ids=["judged", "by force"])
def test_a_model_whose_files_were_damaged_is_refused_even_by_force(
    force: bool, challenged: Engine, weak_dir: Path
) -> None:
    damage(challenged, STRONG)
    decision = refused(challenged, STRONG, weak_dir, force=force)
    assert f"model_artifacts/{STRONG}/{CLASSIFIER_FILE} is not the file that" in decision.reason


def damage(engine: Engine, name: str) -> None:
    execute(
        engine,
        "UPDATE model_artifacts SET content = content || 'x' WHERE version = :v AND name = :n",
        v=name,
        n=CLASSIFIER_FILE,
    )


def test_a_champion_that_cannot_be_loaded_is_replaced_by_force_only(
    challenged: Engine, weak_dir: Path
) -> None:
    damage(challenged, WEAK)
    decision = refused(challenged, STRONG, weak_dir)
    assert decision.reason.startswith("It cannot be compared, for the champion cannot be loaded:")
    assert "promote by force and give the reason" in decision.reason
    assert promote(challenged, STRONG, weak_dir, force=True, reason="damaged") is not None
    assert champion(challenged) == STRONG


# --- back


def test_rollbacks_go_back_step_by_step(challenged: Engine, weak_dir: Path, other: str) -> None:
    promote(challenged, STRONG, weak_dir)
    promote(challenged, other, weak_dir, force=True, reason="a test")
    decision = rollback(challenged, reason="complaints", by="ada")
    assert (decision.action, decision.version, decision.champion) == ("rolled_back", STRONG, other)
    assert (decision.reason, decision.decided_by) == ("complaints", "ada")
    assert champion(challenged) == STRONG
    assert rollback(challenged).reason == f"{STRONG} was taken back"
    assert champion(challenged) == WEAK
    with pytest.raises(
        NothingToRollBackToError, match=f"nothing to roll back to: {WEAK} is the first champion"
    ):
        rollback(challenged)
    assert champion(challenged) == WEAK
    assert [action for action, _, _ in history(challenged)] == [
        "first",
        "promoted",
        "promoted",
        "rolled_back",
        "rolled_back",
    ]


def test_a_rollback_goes_back_to_who_was_champion_whatever_was_refused_or_rolled_back_since(
    challenged: Engine, weak_dir: Path, other: str
) -> None:
    promote(challenged, STRONG, weak_dir)
    rollback(challenged)
    promote(challenged, other, weak_dir, force=True, reason="a test")
    promote(challenged, STRONG, weak_dir, force=True, reason="after all")
    (bad,) = known(challenged, model(1_500, 7, all_flipped))
    refused(challenged, bad, weak_dir)
    assert [rollback(challenged).version for _ in range(2)] == [other, WEAK]


def test_a_version_that_was_taken_back_is_listed_as_such(
    challenged: Engine, weak_dir: Path
) -> None:
    promote(challenged, STRONG, weak_dir)
    rollback(challenged)
    with challenged.connect() as connection:
        listed = {one.version: one for one in versions(connection)}
    for one in listed.values():
        assert one.decision is not None
        assert one.decision.action == "rolled_back"
    assert listed[WEAK].is_champion
    assert not listed[STRONG].is_champion


def test_without_a_champion_there_is_nothing_to_roll_back_to(engine: Engine) -> None:
    with pytest.raises(NothingToRollBackToError, match="there is no champion yet"):
        rollback(engine)


def test_a_version_that_can_no_longer_score_is_not_gone_back_to(
    challenged: Engine, weak_dir: Path
) -> None:
    promote(challenged, STRONG, weak_dir)
    damage(challenged, WEAK)
    with pytest.raises(ArtifactError, match="is not the file that"):
        rollback(challenged)
    assert champion(challenged) == STRONG
    assert len(history(challenged)) == 2


# --- at once, and interrupted


def test_of_two_promotions_at_once_the_second_sees_that_the_champion_changed(
    challenged: Engine, weak_dir: Path, other: str
) -> None:
    def force(name: str) -> Decision | None:
        return promote(challenged, name, weak_dir, force=True, reason="a race")

    with ThreadPoolExecutor(2) as pool:
        with decisions_stalled(challenged):
            first = pool.submit(force, STRONG)
            wait_for(waiting(challenged, "INSERT INTO model_decisions"))
            second = pool.submit(force, other)
            wait_for(waiting(challenged, "UPDATE model_champion"))
        assert first.result() is not None
        with pytest.raises(ChampionChangedError, match=f"no longer {WEAK} but {STRONG}"):
            second.result()
    assert champion(challenged) == STRONG
    assert history(challenged) == [("first", WEAK, None), ("promoted", STRONG, WEAK)]


def test_of_a_crowd_of_promotions_and_rollbacks_the_history_explains_the_pointer(
    challenged: Engine, weak_dir: Path, other: str
) -> None:
    start = threading.Barrier(6)

    def decide(number: int) -> None:
        start.wait()
        for _ in range(3):
            try:
                if number % 3:
                    name = (STRONG, other)[number % 2]
                    promote(challenged, name, weak_dir, force=True, reason="a crowd")
                else:
                    rollback(challenged)
            except (ChampionChangedError, NothingToRollBackToError):
                continue

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(decide, range(6)))
    pointer = None
    for _, name, before in history(challenged):
        assert before == pointer, "each decision follows from the one before"
        pointer = name
    assert champion(challenged) == pointer


def test_a_process_killed_in_the_middle_of_a_promotion_changes_nothing(
    challenged: Engine, weak_dir: Path
) -> None:
    url = challenged.url.render_as_string(hide_password=False)
    with decisions_stalled(challenged):
        process = subprocess.Popen(
            [sys.executable, "-c", PROMOTE, url, STRONG, weak_dir],
            env={**os.environ, "PYTHONPATH": str(PROJECT_ROOT)},
        )
        wait_for(waiting(challenged, "INSERT INTO model_decisions"))
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        assert champion(challenged) == WEAK
    wait_for(lambda: not waiting(challenged, "INSERT INTO model_decisions")())
    decision = promote(challenged, STRONG, weak_dir)
    assert decision is not None
    assert champion(challenged) == STRONG
    assert history(challenged) == [("first", WEAK, None), ("promoted", STRONG, WEAK)]
