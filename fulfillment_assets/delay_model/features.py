"""From orders to the numbers that the model sees.

The model takes the ten features of the order contract, in contract order. A number stays as it
is. A category becomes its position among the categories seen in training, kept in the
contract's order (so importance is ordinal: low < medium < high).

A category that the contract allows but the training data lacked has a documented stand-in, kept
in the model's metadata as `unseen_categories`. The published schema of the public data names the
warehouse blocks A to E while the data hold A to D and F: E and F are two names of the fifth
block, so an order of block E is scored as one of F. Any other unseen category is scored as the
commonest category of its feature. No order is ever scored with a silent zero.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from fulfillment_assets.delay_model.errors import FeatureError, TrainingDataError
from fulfillment_assets.orders.contract import BY_NAME, FEATURES, Kind

if TYPE_CHECKING:
    import pandas as pd

CATEGORICAL: Final = tuple(name for name in FEATURES if BY_NAME[name].kind is Kind.CATEGORY)
"""The features that are categories, in contract order."""

SAME_BLOCK: Final[Mapping[str, Mapping[str, str]]] = {"warehouse_block": {"E": "F", "F": "E"}}
"""Categories that name the same thing in the public schema and in the public data."""


@dataclass(frozen=True)
class FeatureEncoder:
    """Turns orders into the model's matrix.

    Attributes:
        categories: categories of each categorical feature seen in training; the code of a
            category is its position.
        unseen: for each feature, contract category not seen in training -> the seen category
            as which it is scored.
    """

    categories: Mapping[str, tuple[str, ...]]
    unseen: Mapping[str, Mapping[str, str]]
    _codes: Mapping[str, Mapping[str, float]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Derive the codes."""
        codes = {name: self._codes_of(name) for name in CATEGORICAL}
        object.__setattr__(self, "_codes", codes)

    def _codes_of(self, name: str) -> dict[str, float]:
        codes = {category: float(code) for code, category in enumerate(self.categories[name])}
        stand_ins = self.unseen.get(name, {})
        return codes | {category: codes[seen] for category, seen in stand_ins.items()}

    def matrix(self, orders: pa.Table, *, first_row: int = 1) -> npt.NDArray[np.float64]:
        """Encode a batch.

        Args:
            orders: the ten feature columns (others are ignored): canonical category names as
                text or dictionaries, numbers as integers or floats.
            first_row: number of the first row, for error messages.

        Returns:
            Shape (n, 10), one contiguous column per feature.

        Raises:
            FeatureError: a column is missing or of the wrong type, or a value is null, not
                finite, or a category without a code.
        """
        columns = np.empty((len(FEATURES), orders.num_rows), dtype=np.float64)
        for position, name in enumerate(FEATURES):
            if name not in orders.column_names:
                raise FeatureError(f"The orders have no column {name}.")
            column = orders.column(name)
            if name in self._codes:
                columns[position] = self._category_codes(name, column, first_row)
            else:
                columns[position] = _numbers(name, column, first_row)
        return columns.T

    def row(self, order: Mapping[str, str | int | float]) -> list[float]:
        """Encode one order: the same ten numbers as its row of `matrix`.

        Raises:
            FeatureError: as for `matrix`.
        """
        codes = self._codes
        return [
            _code(name, order, codes[name]) if name in codes else _number(name, order)
            for name in FEATURES
        ]

    def frame(self, orders: pa.Table) -> pd.DataFrame:
        """The input of the fitted preprocessor: the ten columns, unseen categories replaced."""
        text = {name: orders.column(name).cast(pa.string()) for name in CATEGORICAL}
        columns = {name: text.get(name, orders.column(name)) for name in FEATURES}
        frame: pd.DataFrame = pa.table(columns).to_pandas()
        return frame.replace({name: dict(stand_ins) for name, stand_ins in self.unseen.items()})

    def _category_codes(
        self, name: str, column: pa.ChunkedArray, first_row: int
    ) -> npt.NDArray[np.float64]:
        known = self._codes[name]
        positions = _positions(name, column, list(known))
        if positions.null_count:
            row = pc.index(pc.is_null(positions), True).as_py()
            raise _unknown_category(name, column[row].as_py(), known, f"Row {first_row + row}: ")
        codes = np.array(list(known.values()), np.float64)
        return codes.take(np.asarray(positions))


def learn_encoder(orders: pa.Table) -> FeatureEncoder:
    """The encoder of a training set: which categories it holds, and stand-ins for the others.

    Raises:
        TrainingDataError: a category column holds a value outside the contract.
    """
    categories: dict[str, tuple[str, ...]] = {}
    unseen: dict[str, dict[str, str]] = {}
    for name in CATEGORICAL:
        counts = _counts(name, orders.column(name))
        categories[name] = tuple(choice for choice in BY_NAME[name].choices if counts[choice])
        missing = [choice for choice in BY_NAME[name].choices if not counts[choice]]
        if missing:
            unseen[name] = {choice: _stand_in(name, choice, counts) for choice in missing}
    return FeatureEncoder(categories, unseen)


def encoder_of(preprocessor: Any, unseen: Mapping[str, Mapping[str, str]]) -> FeatureEncoder:
    """The encoder that equals a fitted preprocessor (see `build_preprocessor`)."""
    fitted = preprocessor.named_transformers_
    categories = {
        name: tuple(str(category) for category in fitted[name].categories_[0])
        for name in CATEGORICAL
    }
    return FeatureEncoder(categories, unseen)


def build_preprocessor(encoder: FeatureEncoder) -> Any:
    """An unfitted scikit-learn ColumnTransformer: features in contract order, as numbers.

    It refuses a category that is not among `encoder.categories`.
    """
    from sklearn.compose import ColumnTransformer
    from sklearn.preprocessing import OrdinalEncoder

    def transformer(name: str) -> Any:
        if name not in encoder.categories:
            return "passthrough"
        return OrdinalEncoder(categories=[list(encoder.categories[name])])

    return ColumnTransformer(
        [(name, transformer(name), [name]) for name in FEATURES], verbose_feature_names_out=False
    )


def _counts(name: str, column: pa.ChunkedArray) -> dict[str, int]:
    counts = dict.fromkeys(BY_NAME[name].choices, 0)
    for entry in pc.value_counts(column.combine_chunks()).to_pylist():
        if entry["values"] not in counts:
            raise TrainingDataError(
                f"Column {name} holds {entry['values']!r}; the order contract allows "
                f"{', '.join(counts)}."
            )
        counts[entry["values"]] = entry["counts"]
    return counts


def _stand_in(name: str, choice: str, counts: Mapping[str, int]) -> str:
    same = SAME_BLOCK.get(name, {}).get(choice)
    if same is not None and counts[same]:
        return same
    return max(counts, key=lambda candidate: counts[candidate])


def _positions(name: str, column: pa.ChunkedArray, known: list[str]) -> pa.Array:
    """Index of each cell in `known`, null where it is not in it."""
    values = column.combine_chunks()
    if pa.types.is_dictionary(values.type):
        in_known = pc.index_in(values.dictionary, pa.array(known, values.type.value_type))
        return in_known.take(values.indices)
    if not (pa.types.is_string(values.type) or pa.types.is_large_string(values.type)):
        raise FeatureError(f"Column {name} must be text, not {values.type}.")
    return pc.index_in(values, pa.array(known, values.type))


def _numbers(name: str, column: pa.ChunkedArray, first_row: int) -> npt.NDArray[np.float64]:
    if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
        raise FeatureError(f"Column {name} must be a number, not {column.type}.")
    numbers: npt.NDArray[np.float64] = column.cast(pa.float64(), safe=False).to_numpy()
    finite = np.isfinite(numbers)
    if not finite.all():
        row = int(np.argmin(finite))
        raise _not_a_number(name, column[row].as_py(), f"Row {first_row + row}: ")
    return numbers


def _code(name: str, order: Mapping[str, str | int | float], known: Mapping[str, float]) -> float:
    value = order.get(name)
    code = known.get(value) if isinstance(value, str) else None
    if code is None:
        raise _unknown_category(name, value, known)
    return code


def _number(name: str, order: Mapping[str, str | int | float]) -> float:
    value = order.get(name)
    if value is None or isinstance(value, (str, bool)):
        raise _not_a_number(name, value)
    number = float(value)
    if not math.isfinite(number):
        raise _not_a_number(name, value)
    return number


def _unknown_category(
    name: str, value: object, known: Mapping[str, float], where: str = ""
) -> FeatureError:
    return FeatureError(
        f"{where}{name} is {value!r}; the model knows {', '.join(sorted(known))} "
        "(spelled exactly so)."
    )


def _not_a_number(name: str, value: object, where: str = "") -> FeatureError:
    return FeatureError(f"{where}{name} is {value!r}; it must be a finite number.")
