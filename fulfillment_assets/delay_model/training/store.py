"""What one step of training leaves for the next: the training data, and the candidates' results."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ValidationError

from fulfillment_assets.delay_model import label
from fulfillment_assets.delay_model.errors import TrainingDataError
from fulfillment_assets.delay_model.metadata import TrainingSource
from fulfillment_assets.delay_model.training.candidates import CandidateResult
from fulfillment_assets.delay_model.training.data import TrainingData

FILE: Final = "training_data.parquet"
SEARCH_FILE: Final = "model_candidates.json"
_SOURCE: Final = b"source"
_COMPARE_FIRST: Final = "materialise the asset model_candidates first"


class _StoredSearch(BaseModel):
    data_sha256: str
    results: tuple[CandidateResult, ...]


def store_training_data(data: TrainingData, folder: Path) -> Path:
    """Write features, labels and provenance as one Parquet file, in place of the last one."""
    folder.mkdir(parents=True, exist_ok=True)
    table = data.features.append_column(label.IS_LATE, pa.array(data.late))
    table = table.replace_schema_metadata({_SOURCE: data.source.model_dump_json()})
    target, unfinished = folder / FILE, folder / f"{FILE}.part"
    pq.write_table(table, unfinished)
    return unfinished.replace(target)


def stored_training_data(folder: Path) -> TrainingData:
    """The training data that were stored last.

    Raises:
        TrainingDataError: none were.
    """
    path = folder / FILE
    if not path.exists():
        raise TrainingDataError(
            f"there are no training data in {folder}: materialise the asset training_data first"
        )
    table = pq.read_table(path)
    source = TrainingSource.model_validate_json(table.schema.metadata[_SOURCE])
    late = table[label.IS_LATE].to_numpy().astype(np.int8)
    return TrainingData(table.drop_columns([label.IS_LATE]), late, source)


def store_search(results: Sequence[CandidateResult], data: TrainingData, folder: Path) -> Path:
    """Write the results of comparing candidates on some data, in place of the last ones.

    Args:
        results: of `compare_candidates`.
        data: the training data that they were compared on.
        folder: created if missing.
    """
    folder.mkdir(parents=True, exist_ok=True)
    search = _StoredSearch(data_sha256=data.source.sha256, results=tuple(results))
    target, unfinished = folder / SEARCH_FILE, folder / f"{SEARCH_FILE}.part"
    unfinished.write_text(search.model_dump_json(indent=2), encoding="utf-8")
    return unfinished.replace(target)


def stored_search(folder: Path, data: TrainingData) -> tuple[CandidateResult, ...]:
    """The results that were stored last, in the order of the search space.

    Args:
        folder: where they were stored.
        data: the training data that a model is going to be trained on.

    Raises:
        TrainingDataError: there are none, they cannot be read, or the candidates were compared
            on other data.
    """
    path = folder / SEARCH_FILE
    try:
        search = _StoredSearch.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise TrainingDataError(
            f"there are no compared candidates in {folder}: {_COMPARE_FIRST}"
        ) from None
    except ValidationError as error:
        raise TrainingDataError(f"{path} cannot be read: {_COMPARE_FIRST}") from error
    if search.data_sha256 != data.source.sha256:
        raise TrainingDataError(
            f"the candidates in {folder} were compared on other training data than "
            f"{data.source.name}: {_COMPARE_FIRST}"
        )
    return search.results
