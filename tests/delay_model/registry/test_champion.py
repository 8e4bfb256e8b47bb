"""The champion: one for everybody, and always a whole model that scores."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Engine
from sqlalchemy.exc import OperationalError

from fulfillment_assets.delay_model.artifacts import CLASSIFIER_FILE, ModelFiles, write_files
from fulfillment_assets.delay_model.errors import ArtifactError
from fulfillment_assets.delay_model.registry import champion as registry
from fulfillment_assets.delay_model.registry.champion import (
    Champion,
    champion_version,
    ensure_champion,
    replace_champion,
)
from fulfillment_assets.delay_model.registry.errors import ChampionChangedError, UnfitModelError
from fulfillment_assets.delay_model.scorer import DelayScorer
from fulfillment_assets.store.connection import create_engine
from tests.delay_model.registry.examples import (
    all_flipped,
    champion,
    execute,
    forgetful,
    history,
    known,
    model,
    rows,
    strong,
    version,
    weak,
)
from tests.scoring.workplace import wait_for

WEAK, STRONG = version(weak()), version(strong())


@pytest.fixture
def challenged(engine: Engine, weak_dir: Path) -> Engine:
    """A database whose champion is the weak model, and that knows the strong one, too."""
    ensure_champion(engine, weak_dir)
    known(engine, strong())
    return engine


def move(engine: Engine, *, to: str) -> None:
    """Move the pointer, as a promotion elsewhere would."""
    execute(engine, "UPDATE model_champion SET version = :to", to=to)


def comes_to(loaded: Champion, name: str) -> Callable[[], bool]:
    return lambda: loaded.scorer().version == name


@contextmanager
def files_out_of_reach(engine: Engine) -> Iterator[None]:
    """Whoever loads a model waits, for as long as this lasts."""
    with engine.begin() as connection:
        connection.execute(sa.text("LOCK TABLE model_artifacts IN ACCESS EXCLUSIVE MODE"))
        yield


def damage(engine: Engine, name: str) -> None:
    execute(
        engine,
        "UPDATE model_artifacts SET content = content || 'x' WHERE version = :v AND name = :n",
        v=name,
        n=CLASSIFIER_FILE,
    )


def repair(engine: Engine, files: ModelFiles) -> None:
    execute(
        engine,
        "UPDATE model_artifacts SET content = :content WHERE version = :v AND name = :n",
        content=files[CLASSIFIER_FILE],
        v=version(files),
        n=CLASSIFIER_FILE,
    )


# --- the first one


def test_the_model_of_the_folder_is_the_first_champion_of_a_database(
    engine: Engine, weak_dir: Path
) -> None:
    with engine.connect() as connection:
        assert champion_version(connection) is None
    assert ensure_champion(engine, weak_dir) == WEAK
    assert champion(engine) == WEAK
    assert history(engine) == [("first", WEAK, None)]
    (row,) = rows(engine, "SELECT reason, decided_by FROM model_decisions")
    assert row == {
        "reason": f"there was no champion; from {weak_dir}",
        "decided_by": engine.url.username,
    }


def test_a_database_with_a_champion_keeps_it_whatever_the_folder_holds(
    challenged: Engine, tmp_path: Path
) -> None:
    before = rows(challenged, "SELECT * FROM model_versions ORDER BY version")
    write_files(tmp_path, strong())
    assert ensure_champion(challenged, tmp_path) == WEAK
    assert ensure_champion(challenged, tmp_path / "nowhere") == WEAK
    assert rows(challenged, "SELECT * FROM model_versions ORDER BY version") == before
    assert history(challenged) == [("first", WEAK, None)]


def test_many_at_once_agree_on_one_first_champion(
    database_url: str, weak_dir: Path, tmp_path: Path
) -> None:
    write_files(tmp_path, strong())
    start = threading.Barrier(8)

    def ensure(number: int) -> str:
        engine = create_engine(database_url)
        start.wait()
        name = ensure_champion(engine, (weak_dir, tmp_path)[number % 2])
        engine.dispose()
        return name

    with ThreadPoolExecutor(8) as pool:
        (agreed,) = set(pool.map(ensure, range(8)))
    engine = create_engine(database_url)
    assert champion(engine) == agreed
    assert history(engine) == [("first", agreed, None)]
    assert rows(engine, "SELECT version FROM model_versions") == [{"version": agreed}]
    engine.dispose()


@pytest.mark.parametrize(
    ("files", "error", "words"),
    [
        (lambda: ModelFiles("x", {}), ArtifactError, "There is no model: .* is missing"),
        (lambda: forgetful(weak()), ArtifactError, "does not score as it did"),
        (lambda: model(1_500, 7, all_flipped), UnfitModelError, "its label may be inverted"),
    ],
    ids=["no model", "a model that forgot", "an inverted label"],
)
def test_a_model_that_must_not_score_never_is_the_first_champion(
    files: Callable[[], ModelFiles],
    error: type[Exception],
    words: str,
    engine: Engine,
    tmp_path: Path,
) -> None:
    if files().contents:
        write_files(tmp_path, files())
    with pytest.raises(error, match=words):
        ensure_champion(engine, tmp_path)
    assert champion(engine) is None
    assert history(engine) == []
    assert rows(engine, "SELECT version FROM model_versions") == []


def test_the_pointer_moves_only_from_the_champion_that_was_meant(challenged: Engine) -> None:
    with challenged.begin() as connection:
        replace_champion(connection, WEAK, STRONG)
    with (
        challenged.begin() as connection,
        pytest.raises(
            ChampionChangedError, match=f"no longer {WEAK} but {STRONG}: another decision"
        ),
    ):
        replace_champion(connection, WEAK, STRONG)


def test_there_is_one_pointer_and_it_names_a_known_version(challenged: Engine) -> None:
    with pytest.raises(sa.exc.IntegrityError):
        execute(challenged, "INSERT INTO model_champion (version) VALUES (:v)", v=STRONG)
    with pytest.raises(sa.exc.IntegrityError):
        move(challenged, to="lgbm-unknown")


# --- the loaded one


def test_it_is_loaded_once_and_is_the_first_champion_of_a_fresh_database(
    engine: Engine, weak_dir: Path
) -> None:
    loaded = Champion(engine, weak_dir)
    assert loaded.scorer().version == WEAK
    assert loaded.scorer() is loaded.scorer()
    assert history(engine) == [("first", WEAK, None)]


def test_threads_that_come_first_wait_for_one_load(challenged: Engine, weak_dir: Path) -> None:
    loaded, start = Champion(challenged, weak_dir), threading.Barrier(8)

    def first() -> DelayScorer:
        start.wait()
        return loaded.scorer()

    with ThreadPoolExecutor(8) as pool:
        found = [future.result() for future in [pool.submit(first) for _ in range(8)]]
    assert len({id(scorer) for scorer in found}) == 1


def test_a_pointer_moved_elsewhere_is_followed(challenged: Engine, weak_dir: Path) -> None:
    loaded = Champion(challenged, weak_dir)
    assert loaded.scorer().version == WEAK
    move(challenged, to=STRONG)
    wait_for(comes_to(loaded, STRONG))
    move(challenged, to=WEAK)
    wait_for(comes_to(loaded, WEAK))


def test_nobody_waits_while_the_new_champion_is_loaded(challenged: Engine, weak_dir: Path) -> None:
    loaded = Champion(challenged, weak_dir)
    old = loaded.scorer()
    before = threading.active_count()
    with ThreadPoolExecutor(1) as requests, files_out_of_reach(challenged):
        move(challenged, to=STRONG)
        scored = requests.submit(lambda: [loaded.scorer() for _ in range(50)])
        assert all(scorer is old for scorer in scored.result(timeout=20))
        assert threading.active_count() - before == 2, "one thread requests, one loads"
    wait_for(comes_to(loaded, STRONG))


def test_while_the_new_champion_cannot_be_loaded_the_old_one_goes_on(
    challenged: Engine,
    weak_dir: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loaded = Champion(challenged, weak_dir)
    old = loaded.scorer()
    damage(challenged, STRONG)
    with caplog.at_level(logging.ERROR):
        move(challenged, to=STRONG)
        assert loaded.scorer() is old
        wait_for(lambda: len(caplog.records) == 1)
        assert all(loaded.scorer() is old for _ in range(50))
    (record,) = caplog.records
    assert record.getMessage() == f"champion {STRONG} cannot be loaded; {WEAK} goes on scoring"
    assert "is not the file that" in caplog.text
    assert old.version == WEAK, "what it scores says who scored it"

    repair(challenged, strong())
    assert loaded.scorer() is old, "it is not tried again at once"
    monkeypatch.setattr(registry, "RETRY_SECONDS", 0.0)
    wait_for(comes_to(loaded, STRONG))


def test_another_version_is_tried_at_once_after_one_that_failed(
    challenged: Engine, weak_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (other,) = known(challenged, model(1_500, 7))
    loaded = Champion(challenged, weak_dir)
    loaded.scorer()
    damage(challenged, STRONG)
    move(challenged, to=STRONG)
    loaded.scorer()
    wait_for(lambda: len(caplog.records) == 1)
    move(challenged, to=other)
    wait_for(comes_to(loaded, other))


def test_with_nothing_loaded_the_error_is_raised_and_the_next_call_tries_again(
    challenged: Engine, weak_dir: Path
) -> None:
    loaded = Champion(challenged, weak_dir)
    damage(challenged, WEAK)
    words = f"The champion {WEAK} cannot be loaded: .*delay_classifier.joblib is not the file .*"
    with pytest.raises(ArtifactError, match=f"{words}`fulfillment model rollback`"):
        loaded.scorer()
    repair(challenged, weak())
    assert loaded.scorer().version == WEAK


def test_a_database_that_does_not_answer_is_an_error(challenged: Engine, weak_dir: Path) -> None:
    loaded = Champion(challenged, weak_dir)
    loaded.scorer()
    nowhere = Champion(create_engine(challenged.url.set(port=1)), weak_dir)
    with pytest.raises(OperationalError, match="Connection refused"):
        nowhere.scorer()
