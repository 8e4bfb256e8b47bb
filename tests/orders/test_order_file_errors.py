"""Files that cannot be scored at all: a plain message that says what to do."""

from __future__ import annotations

import codecs
import gzip
import hashlib
from pathlib import Path

import pytest

from fulfillment_assets.orders import csv_source
from fulfillment_assets.orders.contract import REQUIRED
from fulfillment_assets.orders.csv_reader import OrderFileError, read_orders
from fulfillment_assets.orders.validation import OrderBatch
from tests.orders.examples import (
    csv_text,
    failure,
    numbered_rows,
    order_row,
    read_file,
    saved,
)

KAGGLE = """\
ID,Warehouse_block,Mode_of_Shipment,Customer_care_calls,Customer_rating,Cost_of_the_Product,\
Prior_purchases,Product_importance,Gender,Discount_offered,Weight_in_gms,Reached.on.Time_Y.N
2732,F,Road,3,3,236,2,medium,F,58,3360,1
8602,B,Ship,4,5,228,5,low,M,5,1373,1
"""


@pytest.mark.parametrize("content", [b"", b"\xef\xbb\xbf", b" \r\n\t\n", codecs.BOM_UTF16_LE])
def test_an_empty_file(tmp_path: Path, content: bytes) -> None:
    message = "the file is empty; it needs a header and a row for each order"
    assert failure(saved(tmp_path, content)) == message


def test_an_empty_gzip_file(tmp_path: Path) -> None:
    assert failure(saved(tmp_path, gzip.compress(b""))).startswith("the file is empty")


@pytest.mark.parametrize("name", ["absent.csv", "."])
def test_no_file(tmp_path: Path, name: str) -> None:
    assert failure(tmp_path / name) == "this is not a file; check the path"


@pytest.mark.parametrize(
    ("start", "kind"),
    [
        (b"PK\x03\x04", "an Excel workbook or another zip archive"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an Excel workbook"),
        (b"PAR1", "a Parquet file"),
    ],
)
def test_another_format(tmp_path: Path, start: bytes, kind: str) -> None:
    message = f"this looks like {kind}; export it as CSV and drop that"
    assert failure(saved(tmp_path, start + b"\0" * 99)) == message
    assert failure(saved(tmp_path, gzip.compress(start + b"\0" * 99))) == message


@pytest.mark.parametrize(
    "content",
    [
        bytes(range(256)) * 40,
        csv_text([order_row()]).encode("utf-16-le"),
        b"\x7fELF\x02\x01\x01\0\0\0",
    ],
    ids=["bytes", "utf-16 without a mark", "program"],
)
def test_a_binary_file(tmp_path: Path, content: bytes) -> None:
    message = "this is a binary file, not text; export the orders as CSV"
    assert failure(saved(tmp_path, content)) == message


def test_two_gigabytes_of_nuls_fail_at_once(tmp_path: Path) -> None:
    path = tmp_path / "sparse.csv"
    with path.open("wb") as file:
        file.truncate(2 << 30)
    assert failure(path).startswith("this is a binary file")


def test_a_nul_in_one_row_costs_that_row_only(tmp_path: Path) -> None:
    text = csv_text([order_row(order_id="a\0b"), order_row()])
    accepted, rejected = read_file(saved(tmp_path, text))
    assert [row["row_number"] for row in accepted] == [2]
    assert rejected[0].message == ('row 1: order_id "a\ufffdb": must be printable characters only')


def test_missing_columns_are_all_named_beside_those_found(tmp_path: Path) -> None:
    row = order_row() | {"Odd\0 one": ""}
    del row["gender"], row["order_id"]
    message = failure(saved(tmp_path, csv_text([row])))
    assert message.startswith(
        "required columns are missing: order_id, gender. The first row, which must be the "
        "header, has: customer_id, order_date, "
    )
    assert message.endswith(", Odd\ufffd one")


def test_one_missing_column(tmp_path: Path) -> None:
    path = saved(tmp_path, KAGGLE.replace("Gender", "Sex"))
    assert failure(path).startswith("required column is missing: gender.")


def test_a_file_without_a_header(tmp_path: Path) -> None:
    path = saved(tmp_path, "\n".join(KAGGLE.splitlines()[1:]))
    assert failure(path).startswith(f"required columns are missing: {', '.join(REQUIRED)}.")


def test_a_wall_of_text_without_a_line_end(tmp_path: Path) -> None:
    message = failure(saved(tmp_path, "lorem ipsum " * 200_000))
    assert message.startswith("required columns are missing")
    assert len(message) < 1_000


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("customer_id", "carrier_name", 'two columns are named "carrier_name"'),
        ("customer_id", "ID", 'the columns "order_id" and "ID" both mean order_id'),
        (
            "customer_id",
            "Weight in grams",
            'the columns "Weight in grams" and "weight_in_gms" both mean weight_in_gms',
        ),
        ("customer_id,order_date", "note,note", 'two columns are named "note"'),
    ],
)
def test_a_column_given_twice(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = saved(tmp_path, csv_text([order_row()]).replace(old, new, 1))
    assert failure(path) == f"{message}; remove or rename one of them"


@pytest.mark.parametrize("keep", [40, 2_000, -4])
def test_a_gzip_file_that_is_cut_short(tmp_path: Path, keep: int) -> None:
    rows = [order_row(order_id=hashlib.sha256(bytes([n % 251])).hexdigest()) for n in range(300)]
    packed = gzip.compress(csv_text(rows).encode())
    assert failure(saved(tmp_path, packed[:keep])) == (
        "this gzip file is damaged or incomplete; compress and copy it again"
    )


def test_a_gzip_file_with_a_wrong_byte(tmp_path: Path) -> None:
    packed = bytearray(gzip.compress(csv_text(numbered_rows(500)).encode()))
    packed[len(packed) // 2] ^= 0xFF
    assert failure(saved(tmp_path, bytes(packed))).startswith("this gzip file is damaged")


def test_damage_late_in_a_large_gzip_file(tmp_path: Path) -> None:
    text = csv_text([order_row(order_id=f"{n:08}" * 6) for n in range(30_000)])
    path = saved(tmp_path, gzip.compress(text.encode(), 1)[:-1_000])
    batches: list[OrderBatch] = []
    with pytest.raises(OrderFileError, match="damaged or incomplete"):
        batches.extend(read_orders(path, chunk_rows=1_000))


@pytest.mark.parametrize("column", ["order_id", "carrier_name", "order_status"])
def test_a_quote_that_is_never_closed(tmp_path: Path, column: str) -> None:
    rows = numbered_rows(6)
    rows[2][column] = "@"
    path = saved(tmp_path, csv_text(rows).replace("@", '"open'))
    assert failure(path).startswith('a quote (") is opened and never closed')


def test_a_quote_that_swallows_megabytes(tmp_path: Path) -> None:
    rows = numbered_rows(15_000)
    rows[20]["order_status"] = "@"
    path = saved(tmp_path, csv_text(rows).replace("@", '"open'))
    assert path.stat().st_size > 2 * csv_source.BLOCK_BYTES
    message = failure(path)
    assert message.startswith("row 21 is longer than 1 MiB")
    assert "never closed" in message
