import errno
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fulfillment_assets.delay_model.artifacts import (
    CLASSIFIER_FILE,
    METADATA_FILE,
    PREPROCESSOR_FILE,
    open_artifacts,
    read_files,
    sha256,
)
from fulfillment_assets.delay_model.errors import ArtifactError, LibraryDriftWarning
from fulfillment_assets.delay_model.scorer import DelayScorer
from fulfillment_assets.delay_model.training.data import simulated_training_data
from fulfillment_assets.delay_model.training.fit import TrainedModel, save, train
from fulfillment_assets.settings import PROJECT_ROOT

FILES = (CLASSIFIER_FILE, PREPROCESSOR_FILE, METADATA_FILE)


class _Trap:
    """A pickle that leaves a trace when it is opened."""

    def __init__(self, trace: Path) -> None:
        self._trace = trace

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return Path.touch, (self._trace,)


def _edit_metadata(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    path = folder / METADATA_FILE
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def test_a_stored_model_loads_as_it_was(stored: Path, trained: TrainedModel) -> None:
    scorer = DelayScorer.load(stored)
    assert scorer.version == scorer.metadata.version
    assert scorer.metadata.metrics == trained.metrics
    assert sorted(path.name for path in stored.iterdir()) == sorted(FILES)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named_with_what_to_do(stored: Path, name: str) -> None:
    (stored / name).unlink()
    with pytest.raises(ArtifactError, match=rf"{name} is missing.*`fulfillment train`"):
        DelayScorer.load(stored)


def test_an_empty_folder_says_that_there_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="There is no model"):
        DelayScorer.load(tmp_path / "nowhere")


@pytest.mark.parametrize("name", [CLASSIFIER_FILE, PREPROCESSOR_FILE])
def test_one_altered_byte_is_refused(stored: Path, name: str) -> None:
    content = bytearray((stored / name).read_bytes())
    content[len(content) // 2] ^= 1
    (stored / name).write_bytes(content)
    with pytest.raises(ArtifactError, match=rf"{name} is not the file .* sha256 .*not opened"):
        DelayScorer.load(stored)


@pytest.mark.parametrize("name", [CLASSIFIER_FILE, PREPROCESSOR_FILE])
def test_a_foreign_pickle_is_never_opened(stored: Path, tmp_path: Path, name: str) -> None:
    trace = tmp_path / "opened"
    (stored / name).write_bytes(pickle.dumps(_Trap(trace)))
    with pytest.raises(ArtifactError):
        DelayScorer.load(stored)
    assert not trace.exists()


def test_a_pickle_that_these_libraries_cannot_read_names_those_that_can(stored: Path) -> None:
    content = b"\x80\x05cno.such.module\nThing\n."
    (stored / CLASSIFIER_FILE).write_bytes(content)
    _edit_metadata(stored, lambda m: m["artifacts"].update({CLASSIFIER_FILE: sha256(content)}))
    with pytest.raises(ArtifactError, match=r"cannot be read with the installed.*lightgbm \d"):
        DelayScorer.load(stored)


def test_a_model_that_scores_otherwise_than_when_trained_is_refused(stored: Path) -> None:
    def change(metadata: dict[str, Any]) -> None:
        metadata["golden_rows"][6]["probability"] -= 0.001

    _edit_metadata(stored, change)
    with pytest.raises(ArtifactError, match=r"golden row 7 should be .*`fulfillment train`"):
        DelayScorer.load(stored)


def test_a_classifier_of_another_model_is_refused_even_with_its_digest(stored: Path) -> None:
    committed = (PROJECT_ROOT / "models" / CLASSIFIER_FILE).read_bytes()
    (stored / CLASSIFIER_FILE).write_bytes(committed)
    _edit_metadata(stored, lambda m: m["artifacts"].update({CLASSIFIER_FILE: sha256(committed)}))
    with pytest.raises(ArtifactError, match="golden row"):
        DelayScorer.load(stored)


def test_other_features_than_the_contracts_are_refused(stored: Path) -> None:
    _edit_metadata(stored, lambda m: m["features"].insert(0, "order_id"))
    with pytest.raises(ArtifactError, match="takes the features order_id, warehouse_block"):
        DelayScorer.load(stored)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("", "the file: Invalid JSON"),
        ("{}", "format: Field required"),
        ('{"format": 1}', "format: Input should be 2"),
    ],
)
def test_metadata_of_another_layout_are_refused(stored: Path, content: str, complaint: str) -> None:
    (stored / METADATA_FILE).write_text(content)
    with pytest.raises(ArtifactError, match=complaint):
        DelayScorer.load(stored)


def test_other_library_versions_are_a_warning_while_the_golden_rows_hold(stored: Path) -> None:
    _edit_metadata(stored, lambda m: m["library_versions"].update({"lightgbm": "4.6.0"}))
    with pytest.warns(LibraryDriftWarning, match=r"trained with lightgbm 4\.6\.0 \(installed: 4"):
        DelayScorer.load(stored)


def test_saving_replaces_the_model_that_was_there(trained: TrainedModel, tmp_path: Path) -> None:
    for name in FILES:
        (tmp_path / name).write_text("old")
    metadata = save(trained, tmp_path)
    assert open_artifacts(read_files(tmp_path)).metadata == metadata
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(FILES)


def test_a_save_that_dies_before_the_metadata_leaves_nothing_that_loads(
    stored: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = train(simulated_training_data(rows=2000, seed=6), repeats=1)
    replace = Path.replace

    def die_at_the_metadata(path: Path, target: Path) -> Path:
        if target.name == METADATA_FILE:
            raise KeyboardInterrupt
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", die_at_the_metadata)
    with pytest.raises(KeyboardInterrupt):
        save(other, stored)
    with pytest.raises(ArtifactError, match="is not the file"):
        DelayScorer.load(stored)


def test_a_failed_write_keeps_the_old_model_and_leaves_no_litter(
    stored: Path, trained: TrainedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {name: (stored / name).read_bytes() for name in FILES}
    written: list[int] = []

    def full_at_the_third(descriptor: int) -> None:
        written.append(descriptor)
        if len(written) == len(FILES):
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full_at_the_third)
    with pytest.raises(OSError, match="No space left"):
        save(trained, stored)
    assert {path.name: path.read_bytes() for path in stored.iterdir()} == before
