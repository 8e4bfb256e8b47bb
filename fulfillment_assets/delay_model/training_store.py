"""Training data between the asset that gathers them and the one that trains on them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from fulfillment_assets.delay_model import label
from fulfillment_assets.delay_model.errors import TrainingDataError
from fulfillment_assets.delay_model.metadata import TrainingSource
from fulfillment_assets.delay_model.training_data import TrainingData

FILE = "training_data.parquet"
_SOURCE = b"source"


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
