"""Known models: registered once, with their files, and read back as they were."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy.engine import Engine

from fulfillment_assets.delay_model.artifacts import (
    CLASSIFIER_FILE,
    PREPROCESSOR_FILE,
    ModelFiles,
    dump,
    read_files,
    read_metadata,
    write_files,
)
from fulfillment_assets.delay_model.errors import ArtifactError
from fulfillment_assets.delay_model.registry.champion import first_champion
from fulfillment_assets.delay_model.registry.errors import OtherModelError, UnknownVersionError
from fulfillment_assets.delay_model.registry.versions import (
    open_version,
    read_version,
    register,
    versions,
)
from fulfillment_assets.delay_model.scorer import DelayScorer
from tests.delay_model.registry.examples import (
    execute,
    forgetful,
    known,
    rows,
    strong,
    version,
    weak,
    with_metadata,
)


def test_a_registered_model_is_read_back_byte_for_byte(engine: Engine) -> None:
    known(engine, weak(), strong())
    with engine.connect() as connection:
        files = read_version(connection, version(weak()))
    assert files.contents == weak().contents


def test_its_row_tells_metrics_training_data_and_digest(engine: Engine) -> None:
    (name,) = known(engine, weak())
    metadata = read_metadata(weak())
    (row,) = rows(engine, "SELECT * FROM model_versions")
    assert row["version"] == name == metadata.version
    assert row["artifact_sha256"] == hashlib.sha256(weak()[CLASSIFIER_FILE]).hexdigest()
    assert row["metrics"]["brier"] == metadata.metrics["brier"].model_dump()
    assert row["training_data"] == metadata.training_data.model_dump()


def test_of_a_known_version_only_the_time_of_its_last_training_moves(engine: Engine) -> None:
    known(engine, weak())
    (before,) = rows(engine, "SELECT * FROM model_versions")
    known(engine, with_metadata(weak(), metrics={}))
    (after,) = rows(engine, "SELECT * FROM model_versions")
    assert after["last_trained_at"] > before["last_trained_at"]
    assert {**after, "last_trained_at": None} == {**before, "last_trained_at": None}
    with engine.connect() as connection:
        assert read_version(connection, before["version"]).contents == weak().contents


def test_a_version_from_before_files_were_kept_gets_them(engine: Engine) -> None:
    (name,) = known(engine, weak())
    execute(engine, "DELETE FROM model_artifacts")
    with engine.connect() as connection:
        with pytest.raises(UnknownVersionError, match="before model files were kept: only its"):
            read_version(connection, name)
        (listed,) = versions(connection)
    assert listed.version == name
    known(engine, weak())
    assert open_version(engine, name).version == name


def test_an_unknown_version_is_named(engine: Engine) -> None:
    with (
        engine.connect() as connection,
        pytest.raises(UnknownVersionError, match=r"no model version 'lgbm-0'; `fulfillment model"),
    ):
        read_version(connection, "lgbm-0")


def test_altered_files_are_refused_and_nothing_is_stored(engine: Engine) -> None:
    altered = replace(
        weak(), contents={**weak().contents, CLASSIFIER_FILE: weak()[CLASSIFIER_FILE] + b"!"}
    )
    with pytest.raises(ArtifactError, match="is not the file that"):
        known(engine, altered)
    assert rows(engine, "SELECT * FROM model_versions") == []


@pytest.mark.parametrize("file", [CLASSIFIER_FILE, PREPROCESSOR_FILE])
def test_another_model_under_a_known_version_is_refused(engine: Engine, file: str) -> None:
    known(engine, weak())
    impostor = disguised(file, b"something else")
    with pytest.raises(OtherModelError, match="Another model is known as version lgbm-"):
        known(engine, impostor)
    with engine.connect() as connection:
        assert read_version(connection, version(weak())).contents == weak().contents


def test_registering_belongs_to_the_callers_transaction(engine: Engine) -> None:
    with engine.connect() as connection:
        register(connection, weak())
        connection.rollback()
    assert rows(engine, "SELECT * FROM model_versions") == []


def test_a_version_registered_by_many_at_once_is_there_once(engine: Engine) -> None:
    with ThreadPoolExecutor(8) as pool:
        names = {name for (name,) in pool.map(lambda _: known(engine, weak()), range(8))}
    assert [row["version"] for row in rows(engine, "SELECT version FROM model_versions")] == [
        *names
    ]
    assert rows(engine, "SELECT count(*) AS n FROM model_artifacts") == [{"n": 3}]


def test_they_are_listed_newest_first_with_what_is_known_of_them(engine: Engine) -> None:
    first_champion(engine, weak(), by="ada")
    known(engine, strong())
    with engine.connect() as connection:
        newest, oldest = versions(connection)
    metadata = read_metadata(strong())
    assert (newest.version, newest.rows) == (metadata.version, metadata.training_data.rows)
    assert (newest.trained_on, newest.data_name) == ("simulator", "8000 simulated orders, seed 6")
    assert newest.metrics == {name: value.mean for name, value in metadata.metrics.items()}
    assert newest.created_at == newest.last_trained_at > oldest.created_at
    assert (newest.is_champion, newest.decision) == (False, None)
    assert oldest.is_champion
    assert oldest.decision is not None
    assert (oldest.decision.action, oldest.decision.decided_by) == ("first", "ada")


def test_a_version_is_opened_and_scores_as_the_stored_model_does(engine: Engine) -> None:
    (name,) = known(engine, weak())
    order = read_metadata(weak()).golden_rows[0].order
    assert open_version(engine, name).score_one(order) == DelayScorer.open(weak()).score_one(order)


def test_a_model_that_scores_otherwise_than_when_it_was_trained_is_not_opened(
    engine: Engine,
) -> None:
    (name,) = known(engine, forgetful(weak()))
    with pytest.raises(ArtifactError, match=r"golden row 1 should be 0\.123456"):
        open_version(engine, name)


def test_files_that_hold_no_model_at_all_are_not_opened(engine: Engine) -> None:
    (name,) = known(engine, disguised(CLASSIFIER_FILE, dump({"not": "a model"})))
    with pytest.raises(ArtifactError, match=f"The model {name} is none that can score: .*Error"):
        open_version(engine, name)


def test_an_exported_model_is_registered_elsewhere_as_the_same(
    engine: Engine, tmp_path: Path
) -> None:
    (name,) = known(engine, weak())
    with engine.connect() as connection:
        write_files(tmp_path, read_version(connection, name))
    assert known(engine, read_files(tmp_path)) == [name]


def disguised(file: str, content: bytes) -> ModelFiles:
    """A model with other bytes in a file, whose metadata vouch for them under the old version."""
    digests = read_metadata(weak()).artifacts | {file: hashlib.sha256(content).hexdigest()}
    told = with_metadata(weak(), artifacts=digests)
    return replace(told, contents={**told.contents, file: content})
