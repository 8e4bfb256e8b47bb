"""Reading files of orders: what is tolerated, and how rows are numbered."""

from __future__ import annotations

import codecs
import csv
import gzip
import hashlib
import io
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fulfillment_assets.orders import chunks, csv_source
from fulfillment_assets.orders.csv_reader import read_orders, sha256_of
from tests.orders.examples import csv_text, numbered_rows, order_row, read_file, saved

KAGGLE = """\
ID,Warehouse_block,Mode_of_Shipment,Customer_care_calls,Customer_rating,Cost_of_the_Product,\
Prior_purchases,Product_importance,Gender,Discount_offered,Weight_in_gms,Reached.on.Time_Y.N
2732,F,Road,3,3,236,2,medium,F,58,3360,1
8602,B,Ship,4,5,228,5,low,M,5,1373,1
"""


def ids(path: Path) -> dict[int, str]:
    """Order ids by row number; every row must be accepted."""
    accepted, rejected = read_file(path)
    assert rejected == []
    return {row["row_number"]: row["order_id"] for row in accepted}


class TestTolerance:
    """Files as they come out of other programs."""

    @pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
    @pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
    def test_separators_and_line_ends(self, tmp_path: Path, delimiter: str, end: str) -> None:
        rows = [order_row(carrier_name=text) for text in ("A, B; C", 'quote "x" | y', "\t tab")]
        accepted, rejected = read_file(saved(tmp_path, csv_text(rows, delimiter, end)))
        assert rejected == []
        assert [row["carrier_name"] for row in accepted] == ["A, B; C", 'quote "x" | y', "tab"]

    @pytest.mark.parametrize(
        "encode",
        [
            lambda text: text.encode("utf-8-sig"),
            lambda text: text.encode("utf-16"),
            lambda text: codecs.BOM_UTF16_LE + text.encode("utf-16-le"),
            lambda text: codecs.BOM_UTF16_BE + text.encode("utf-16-be"),
            lambda text: gzip.compress(text.encode()),
            lambda text: gzip.compress(text.encode("utf-16")),
            lambda text: gzip.compress(text.encode()[:90]) + gzip.compress(text.encode()[90:]),
        ],
        ids=["utf-8 mark", "utf-16", "utf-16-le", "utf-16-be", "gzip", "gzip utf-16", "gzip parts"],
    )
    def test_encodings_and_gzip_are_recognised_by_content(
        self, tmp_path: Path, encode: Any
    ) -> None:
        rows = [order_row(customer_id="Zoë 九")] * 3
        accepted, rejected = read_file(saved(tmp_path, encode(csv_text(rows)), "orders.dat"))
        assert rejected == []
        assert [row["customer_id"] for row in accepted] == ["Zoë 九"] * 3

    @pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
    def test_characters_across_block_borders(self, tmp_path: Path, encoding: str) -> None:
        rows = [order_row(customer_id="九" * (n % 50 + 1)) for n in range(12_000)]
        path = saved(tmp_path, csv_text(rows).encode(encoding))
        assert path.stat().st_size > 2 * csv_source.BLOCK_BYTES
        accepted, rejected = read_file(path)
        assert rejected == []
        assert [row["customer_id"] for row in accepted] == [row["customer_id"] for row in rows]

    def test_headers_in_any_case_order_and_punctuation(self, tmp_path: Path) -> None:
        row = {name.replace("_", " ").title(): text for name, text in order_row().items()}
        path = saved(tmp_path, csv_text([dict(reversed(row.items()))]))
        assert read_file(path)[0][0]["cost_of_product"] == 219.0

    def test_the_kaggle_headers_without_the_label(self, tmp_path: Path) -> None:
        accepted, rejected = read_file(saved(tmp_path, KAGGLE))
        assert rejected == []
        assert [row["order_id"] for row in accepted] == ["2732", "8602"]
        assert accepted[0]["cost_of_product"] == 236.0
        assert [row["extra"] for row in accepted] == [None, None]

    def test_the_label_is_not_in_a_rejected_row_either(self, tmp_path: Path) -> None:
        (rejected,) = read_file(saved(tmp_path, KAGGLE.replace(",F,58", ",X,58")))[1]
        assert "ID" in rejected.raw
        assert "Reached.on.Time_Y.N" not in rejected.raw
        assert rejected.message == 'row 1: gender "X": must be one of F, M'

    def test_unknown_columns_are_kept_by_their_header(self, tmp_path: Path) -> None:
        row = order_row() | {" Gift Wrap ": "yes", "": "nameless", "Größe": "L"}
        (accepted,), _ = read_file(saved(tmp_path, csv_text([row])))
        assert accepted["extra"] == '{"Gift Wrap":"yes","column_21":"nameless","Größe":"L"}'

    def test_blank_lines_are_no_rows(self, tmp_path: Path) -> None:
        header, *lines = csv_text(numbered_rows(3), end="\n").splitlines()
        text = "\n\n".join(["", header, "", *lines, "", "", "", ""])
        assert ids(saved(tmp_path, text)) == {1: "O1", 2: "O2", 3: "O3"}

    def test_a_last_line_without_an_end(self, tmp_path: Path) -> None:
        assert ids(saved(tmp_path, csv_text(numbered_rows(2)).rstrip())) == {1: "O1", 2: "O2"}

    def test_a_quote_inside_an_unquoted_cell_is_text(self, tmp_path: Path) -> None:
        text = csv_text([order_row(carrier_name="@")] * 2).replace("@", '5" pipes')
        assert [row["carrier_name"] for row in read_file(saved(tmp_path, text))[0]] == [
            '5" pipes'
        ] * 2

    @pytest.mark.parametrize("end", ["", "\n", "\r\n\r\n"])
    def test_a_header_without_rows_gives_no_batches(self, tmp_path: Path, end: str) -> None:
        header = csv_text([order_row()]).splitlines()[0]
        assert list(read_orders(saved(tmp_path, header + end))) == []

    def test_a_quoted_header_with_a_newline(self, tmp_path: Path) -> None:
        text = csv_text([order_row(order_id="O1")]).replace("order_id", '"Order\nID"', 1)
        assert ids(saved(tmp_path, text)) == {1: "O1"}


class TestRowNumbers:
    """Rows are counted, not lines."""

    def test_quoted_newlines_do_not_shift_the_count(self, tmp_path: Path) -> None:
        rows = numbered_rows(4)
        rows[1]["carrier_name"] = "two\r\nlines\n\nor four"
        rows[2]["gender"] = "?"
        accepted, rejected = read_file(saved(tmp_path, csv_text(rows)))
        assert [row["row_number"] for row in accepted] == [1, 2, 4]
        assert [row.row_number for row in rejected] == [3]
        assert accepted[1]["extra"] == '{"carrier_name":"two\\r\\nlines\\n\\nor four"}'

    def test_ragged_rows_are_rejected_and_counted(self, tmp_path: Path) -> None:
        lines = csv_text(numbered_rows(4), end="\n").splitlines()
        lines[2] = "only,three,cells"
        lines[3] += ',"surplus, one",two'
        lines.insert(4, "   ")
        accepted, rejected = read_file(saved(tmp_path, "\n".join(lines)))
        assert {row["row_number"]: row["order_id"] for row in accepted} == {1: "O1", 5: "O4"}
        assert [row.message for row in rejected] == [
            'row 2: number of cells "3": must be 19, as in the header',
            'row 3: number of cells "21": must be 19, as in the header; '
            'left over is "surplus, one,two"',
            'row 4: number of cells "1": must be 19, as in the header',
        ]
        assert list(rejected[0].raw)[:4] == list(order_row())[:4]
        assert list(rejected[0].raw.values())[:4] == ["only", "three", "cells", None]
        assert rejected[1].raw == order_row(order_id="O3") | {"surplus_cells": "surplus, one,two"}

    def test_bytes_that_are_not_utf8_in_a_ragged_row(self, tmp_path: Path) -> None:
        text = csv_text(numbered_rows(2), end="\n").encode() + b"M\xfcller,x\n"
        accepted, rejected = read_file(saved(tmp_path, text))
        assert len(accepted) == 2
        assert rejected[0].raw["order_id"] == "M\ufffdller"

    @pytest.mark.parametrize("chunk_rows", [1, 2, 3, 7, 50])
    def test_chunks_are_even_and_in_order(
        self, tmp_path: Path, chunk_rows: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(csv_source, "BLOCK_BYTES", 700)
        lines = csv_text(numbered_rows(40), end="\n").splitlines()
        for number in (1, 2, 9, 10, 11, 12, 13, 14, 29, 40):
            lines[number] = f"ragged {number}"
        batches = list(read_orders(saved(tmp_path, "\n".join(lines)), chunk_rows=chunk_rows))
        full, last = divmod(40, chunk_rows)
        assert [b.received for b in batches] == [chunk_rows] * full + [last] * (last > 0)
        numbers = [
            sorted([*b.orders["row_number"].to_pylist(), *(r.row_number for r in b.rejected)])
            for b in batches
        ]
        assert [n for chunk in numbers for n in chunk] == list(range(1, 41))
        for batch in batches:
            for row in batch.orders.to_pylist():
                assert row["order_id"] == f"O{row['row_number']}"
            for rejected in batch.rejected:
                assert rejected.raw["order_id"] == f"ragged {rejected.row_number}"

    def test_a_file_of_nothing_but_ragged_rows(self, tmp_path: Path) -> None:
        header = csv_text([order_row()]).splitlines()[0]
        text = header + "\n" + "".join(f"ragged {n},x\n" for n in range(1, 2_001))
        batches = list(read_orders(saved(tmp_path, text), chunk_rows=300))
        assert [batch.received for batch in batches] == [300] * 6 + [200]
        assert [row.row_number for batch in batches for row in batch.rejected] == list(
            range(1, 2_001)
        )

    def test_wide_rows_make_smaller_chunks(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(chunks, "MAX_CHUNK_BYTES", 3_000_000)
        rows = [row | {"note": "x" * 10_000} for row in numbered_rows(1_000)]
        batches = list(read_orders(saved(tmp_path, csv_text(rows))))
        assert len(batches) > 2
        assert [n for b in batches for n in b.orders["row_number"].to_pylist()] == list(
            range(1, 1_001)
        )


def test_a_reader_that_is_closed_early_closes_the_file(tmp_path: Path) -> None:
    path = saved(tmp_path, csv_text(numbered_rows(20_000)))
    batches = read_orders(path, chunk_rows=10)
    assert next(batches).received == 10
    batches.close()  # type: ignore[attr-defined]
    assert str(path) not in {file.path for file in psutil.Process().open_files()}


def test_the_checksum_is_that_of_the_bytes(tmp_path: Path) -> None:
    assert sha256_of(saved(tmp_path, "abc")) == hashlib.sha256(b"abc").hexdigest()


CELLS = st.text(st.characters(codec="utf-8"), max_size=6) | st.sampled_from(
    ['"', '""', "\n", "\r\n", ",", ";", "\ufeff", "'=1", "\0"]
)


@settings(
    deadline=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=6),
    st.sampled_from(",;\t|"),
    st.sampled_from(["\n", "\r\n"]),
)
def test_whatever_stands_in_a_cell_comes_out_of_it(
    tmp_path: Path, notes: list[tuple[str, str]], delimiter: str, end: str
) -> None:
    """The label is dropped and the gender is wrong, so every row is rejected with its cells."""
    rows = [order_row(gender="?") | {"n1": one, "n2": two, "z": "z"} for one, two in notes]
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, lineterminator=end, quoting=csv.QUOTE_ALL)
    writer.writerows([list(rows[0]), *(row.values() for row in rows)])
    accepted, rejected = read_file(saved(tmp_path, text.getvalue()))
    assert accepted == []
    assert [(row.raw["n1"], row.raw["n2"], row.raw["z"]) for row in rejected] == [
        (one.replace("\0", "\ufffd") or None, two.replace("\0", "\ufffd") or None, "z")
        for one, two in notes
    ]


def test_memory_is_bounded_by_the_chunk_and_not_by_the_file(tmp_path: Path) -> None:
    """Half a million rows pass through a process whose memory grows by a few chunks."""
    block = csv_text(numbered_rows(5_000))
    header, _, body = block.partition("\r\n")
    path = tmp_path / "large.csv"
    with path.open("w", newline="") as file:
        file.write(f"{header}\r\n")
        file.writelines(body for _ in range(100))
    assert path.stat().st_size > 75_000_000
    script = textwrap.dedent(
        """
        import sys
        from pathlib import Path

        import psutil
        from fulfillment_assets.orders.csv_reader import read_orders

        process = psutil.Process()
        received, sizes = 0, []
        for batch in read_orders(Path(sys.argv[1]), chunk_rows=5_000):
            received += batch.received
            sizes.append(process.memory_info().rss)
        print(received, sizes[9], max(sizes))
        """
    )
    printed = subprocess.run(
        [sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=True
    )
    received, early, peak = map(int, printed.stdout.split())
    assert received == 500_000
    assert peak - early < 40_000_000
