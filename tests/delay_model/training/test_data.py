import gzip
import hashlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from fulfillment_assets.delay_model.errors import TrainingDataError
from fulfillment_assets.delay_model.training.data import (
    SIMULATED_ROWS,
    load_training_data,
    read_training_file,
    simulated_training_data,
)
from fulfillment_assets.orders.contract import FEATURES

HEADER = (
    "ID,Warehouse_block,Mode_of_Shipment,Customer_care_calls,Customer_rating,"
    "Cost_of_the_Product,Prior_purchases,Product_importance,Gender,Discount_offered,"
    "Weight_in_gms,Reached.on.Time_Y.N"
)
LATE_ROW = "1,D,Flight,4,2,177,3,low,F,44,1233,1"
PUNCTUAL_ROW = "2,F,Ship,4,5,216,2,low,M,9,4088,0"


def _file(folder: Path, *rows: str, header: str = HEADER, ending: str = "\n") -> Path:
    path = folder / "orders.csv"
    path.write_text(ending.join((header, *rows)) + ending, newline="")
    return path


def _refusal(path: Path) -> str:
    with pytest.raises(TrainingDataError) as caught:
        read_training_file(path)
    assert str(path.parent) not in str(caught.value)
    return str(caught.value)


def test_the_public_format_is_read_with_one_meaning_late(tmp_path: Path) -> None:
    data = read_training_file(_file(tmp_path, LATE_ROW, PUNCTUAL_ROW))
    assert data.late.tolist() == [1, 0]
    assert tuple(data.features.column_names) == FEATURES
    assert data.features.to_pylist()[0] == {
        "warehouse_block": "D",
        "mode_of_shipment": "Flight",
        "customer_care_calls": 4,
        "customer_rating": 2,
        "prior_purchases": 3,
        "gender": "F",
        "product_importance": "low",
        "cost_of_product": 177.0,
        "discount_offered": 44.0,
        "weight_in_gms": 1233.0,
    }


def test_the_identifier_is_no_feature(tmp_path: Path) -> None:
    data = read_training_file(_file(tmp_path, LATE_ROW, PUNCTUAL_ROW))
    assert not {"order_id", "id", "ID"} & set(data.features.column_names)


def test_provenance_is_the_files_name_and_digest(tmp_path: Path) -> None:
    path = _file(tmp_path, LATE_ROW)
    source = load_training_data(path).source
    assert (source.kind, source.name) == ("file", "orders.csv")
    assert source.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_spelling_delimiter_and_line_ends_do_not_matter(tmp_path: Path) -> None:
    plain = read_training_file(_file(tmp_path, LATE_ROW, PUNCTUAL_ROW))
    other = _file(
        tmp_path,
        LATE_ROW.upper().replace(",", ";"),
        PUNCTUAL_ROW.lower().replace(",", ";"),
        header="\ufeff" + HEADER.upper().replace(",", ";"),
        ending="\r\n",
    )
    data = read_training_file(other)
    assert data.features.equals(plain.features)
    assert data.late.tolist() == plain.late.tolist()


def test_a_compressed_file_is_read(tmp_path: Path) -> None:
    plain = read_training_file(_file(tmp_path, LATE_ROW, PUNCTUAL_ROW))
    packed = tmp_path / "orders.csv.gz"
    packed.write_bytes(gzip.compress((tmp_path / "orders.csv").read_bytes()))
    assert read_training_file(packed).features.equals(plain.features)


def test_a_missing_label_is_refused_by_name_and_meaning(tmp_path: Path) -> None:
    header, row = (text.rpartition(",")[0] for text in (HEADER, LATE_ROW))
    message = _refusal(_file(tmp_path, row, header=header))
    assert "orders.csv has no columns Reached.on.Time_Y.N" in message
    assert "1 means that the order was late" in message


def test_two_labels_are_refused(tmp_path: Path) -> None:
    path = _file(tmp_path, LATE_ROW + ",1", header=HEADER + ",reached_on_time_y_n")
    assert "has 2 columns Reached.on.Time_Y.N" in _refusal(path)


def test_a_missing_feature_is_refused_by_name(tmp_path: Path) -> None:
    path = _file(tmp_path, LATE_ROW, header=HEADER.replace("Gender", "Sex"))
    assert "gender" in _refusal(path)


def test_bad_rows_are_named_with_field_value_and_rule(tmp_path: Path) -> None:
    message = _refusal(
        _file(
            tmp_path,
            LATE_ROW,
            LATE_ROW.replace("D,Flight", "Z,Flight").replace(",44,", ",144,"),
            PUNCTUAL_ROW[:-1] + "2",
            PUNCTUAL_ROW[:-1],
            PUNCTUAL_ROW.replace("216", "nan"),
        )
    )
    assert "orders.csv has 4 bad rows of 5" in message
    assert 'row 2: warehouse_block "Z": must be one of A, B, C, D, E, F' in message
    assert 'discount_offered "144": must be between 0 and 100' in message
    assert 'row 3: reached_on_time_y_n "2": must be between 0 and 1' in message
    assert "row 4: reached_on_time_y_n is missing" in message
    assert 'row 5: cost_of_product "nan"' in message


def test_of_many_bad_rows_the_first_are_shown_and_the_others_counted(tmp_path: Path) -> None:
    message = _refusal(_file(tmp_path, *[LATE_ROW.replace("177", "free")] * 8))
    assert "row 5: cost_of_product" in message
    assert "row 6" not in message
    assert "and 3 more" in message


def test_rows_of_another_width_are_refused(tmp_path: Path) -> None:
    message = _refusal(_file(tmp_path, LATE_ROW, PUNCTUAL_ROW + ",1,2", LATE_ROW))
    assert "row 2 has 14 cells and the header 12 (1 such rows in all)" in message


def test_a_quote_that_is_never_closed_is_refused(tmp_path: Path) -> None:
    path = _file(tmp_path, LATE_ROW, PUNCTUAL_ROW.replace("Ship", '"Ship'), LATE_ROW)
    assert 'a quote (") is opened and never closed' in _refusal(path)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "the file is empty"),
        (b"PK\x03\x04rest", "Excel workbook"),
        (HEADER.encode() + b"\n", "holds a header and no orders"),
        (HEADER.encode(), "holds a header and no orders"),
    ],
)
def test_a_file_without_orders_is_refused(tmp_path: Path, content: bytes, complaint: str) -> None:
    path = tmp_path / "orders.csv"
    path.write_bytes(content)
    assert complaint in _refusal(path)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    assert "nothing.csv cannot be trained on: this is not a file" in _refusal(
        tmp_path / "nothing.csv"
    )


def test_without_a_file_the_simulator_is_used_and_says_so() -> None:
    data = load_training_data(None)
    assert data.source.kind == "simulator"
    assert data.source.name == f"{SIMULATED_ROWS} simulated orders, seed 17"
    assert data.features.num_rows == len(data.late) == SIMULATED_ROWS


def test_equal_seeds_simulate_equal_data() -> None:
    first, again, other = (simulated_training_data(rows=500, seed=seed) for seed in (1, 1, 2))
    assert first.features.equals(again.features)
    assert np.array_equal(first.late, again.late)
    assert first.source == again.source
    assert first.source.sha256 != other.source.sha256


def test_simulated_orders_have_the_contracts_features() -> None:
    features = simulated_training_data(rows=500, seed=1).features
    assert tuple(features.column_names) == FEATURES
    assert features["warehouse_block"].type == pa.string()
