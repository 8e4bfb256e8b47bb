"""The file of rejected rows: whole or not there, harmless, and fit to be mended and dropped."""

from __future__ import annotations

import csv
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from fulfillment_assets.orders.csv_reader import read_orders
from fulfillment_assets.orders.rejected_csv import RejectedCsv
from fulfillment_assets.orders.validation import FieldError, RejectedRow
from tests.orders.examples import Row, csv_text, order_row, read_file, saved

ERRORS = (FieldError("gender", "?", "must be one of F, M"),)


def rejects_of(path: Path) -> Path:
    """Write the `.rejected.csv` of a file, batch by batch."""
    target = path.with_suffix(".rejected.csv")
    with RejectedCsv(target) as writer:
        for batch in read_orders(path, chunk_rows=2):
            writer.write(batch.rejected)
    return target


def cells_of(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.reader(file))


def test_number_and_errors_stand_before_the_original_columns(tmp_path: Path) -> None:
    rows = [
        order_row(order_id=f"O{n}", customer_rating=str(n)) | {"Note": "a\nb"} for n in range(8)
    ]
    target = rejects_of(saved(tmp_path, csv_text(rows)))
    header, *lines = cells_of(target)
    assert header == ["row_number", "errors", *rows[0]]
    assert [line[0] for line in lines] == ["1", "7", "8"]
    assert lines[0][1] == 'customer_rating "0": must be between 1 and 5'
    assert [line[2:] for line in lines] == [list(rows[n].values()) for n in (0, 6, 7)]


def test_a_mended_file_can_be_dropped_again(tmp_path: Path) -> None:
    odd = {"Note": "=1+1", "'=odd header": "'=quoted", "plain": "-5"}
    rows = [order_row(order_id=f"-{n}x", customer_id="@me", gender="?") | odd for n in range(5)]
    target = rejects_of(saved(tmp_path, csv_text(rows)))
    target.write_text(target.read_text().replace("?,medium", "F,medium"))
    accepted, rejected = read_file(target)
    assert rejected == []
    assert [row["order_id"] for row in accepted] == [f"-{n}x" for n in range(5)]
    assert accepted[0]["customer_id"] == "@me"
    assert accepted[0]["extra"] == '{"Note":"=1+1","\'=odd header":"\'=quoted","plain":"-5"}'


def test_rows_that_stay_wrong_come_out_as_they_went_in(tmp_path: Path) -> None:
    rows = [order_row(order_id=f"=O{n}", gender="?") for n in range(5)]
    first = rejects_of(saved(tmp_path, csv_text(rows)))
    again = rejects_of(saved(tmp_path, first.read_bytes(), "again.csv"))
    assert cells_of(again) == cells_of(first)


def test_formula_like_cells_and_headers_are_neutralised(tmp_path: Path) -> None:
    row: Row = order_row(gender="=1+1") | {"@header": "+cmd", "number": "-12.5"}
    header, line = cells_of(rejects_of(saved(tmp_path, csv_text([row]))))
    cells = dict(zip(header, line, strict=True))
    assert cells["gender"] == "'=1+1"
    assert cells["'@header"] == "'+cmd"
    assert cells["number"] == "-12.5"


def test_ragged_rows_keep_their_cells_in_the_columns(tmp_path: Path) -> None:
    lines = csv_text([order_row()] * 2, end="\n").splitlines()
    lines[1] += ",surplus"
    lines[2] = "short"
    header, long, short = cells_of(rejects_of(saved(tmp_path, "\n".join(lines))))
    assert header == ["row_number", "errors", *order_row()]
    assert long[2:] == list(order_row().values())
    assert 'left over is "surplus"' in long[1]
    assert short[2:] == ["short", *[""] * (len(order_row()) - 1)]


def test_with_no_rejected_row_there_is_no_file(tmp_path: Path) -> None:
    assert not rejects_of(saved(tmp_path, csv_text([order_row()]))).exists()
    assert [path.name for path in tmp_path.iterdir()] == ["orders.csv"]


def test_nothing_appears_before_the_end(tmp_path: Path) -> None:
    target = tmp_path / "orders.rejected.csv"
    with RejectedCsv(target) as writer:
        writer.write([RejectedRow(1, {"gender": "?"}, ERRORS)])
        assert not target.exists()
    assert cells_of(target)[1] == ["1", 'gender "?": must be one of F, M', "?"]


def test_a_failure_leaves_the_former_file(tmp_path: Path) -> None:
    target = saved(tmp_path, "former", "orders.rejected.csv")
    with pytest.raises(RuntimeError, match="database is gone"), RejectedCsv(target) as writer:
        writer.write([RejectedRow(1, {"gender": "?"}, ERRORS)])
        raise RuntimeError("database is gone")
    assert target.read_text() == "former"
    assert list(tmp_path.iterdir()) == [target]


def test_a_killed_process_leaves_no_half_file_and_the_next_one_writes_it_whole(
    tmp_path: Path,
) -> None:
    target = tmp_path / "orders.rejected.csv"
    script = textwrap.dedent(
        """
        import os, signal, sys
        from pathlib import Path

        from fulfillment_assets.orders.rejected_csv import RejectedCsv
        from fulfillment_assets.orders.validation import RejectedRow

        with RejectedCsv(Path(sys.argv[1])) as writer:
            writer.write(RejectedRow(n, {"gender": "?" * 50}, ()) for n in range(5_000))
            os.kill(os.getpid(), signal.SIGKILL)
        """
    )
    killed = subprocess.run([sys.executable, "-c", script, str(target)], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert not target.exists()
    with RejectedCsv(target) as writer:
        writer.write([RejectedRow(1, {"gender": "?"}, ERRORS)])
    assert [line[0] for line in cells_of(target)] == ["row_number", "1"]
    assert list(tmp_path.iterdir()) == [target]
