"""Files on their way from the inbox to where they end up."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fulfillment_assets.scoring.drop_folder import archive, claim, settled_files
from tests.scoring.workplace import Workplace, files_below

SETTLE = 0.3

WRITER = """
import sys, time
with open(sys.argv[1], "a", buffering=1) as file:
    print("writing", flush=True)
    for number in range(20):
        file.write(f"row {number}\\n")
        time.sleep(0.05)
    print("silent", flush=True)
    sys.stdin.read()
"""


def dropped(inbox: Path, name: str, *, age: float = 10.0, content: str = "x") -> Path:
    """A file that was last changed `age` seconds ago."""
    inbox.mkdir(parents=True, exist_ok=True)
    path = inbox / name
    path.write_text(content)
    changed = time.time() - age
    os.utime(path, (changed, changed))
    return path


def test_files_are_taken_oldest_first(tmp_path: Path) -> None:
    for name, age in (("b.csv", 20), ("a.csv", 10), ("c.csv", 30)):
        dropped(tmp_path, name, age=age)
    assert [path.name for path in settled_files(tmp_path, SETTLE)] == ["c.csv", "b.csv", "a.csv"]


def test_an_inbox_that_is_not_there_is_empty(tmp_path: Path) -> None:
    assert settled_files(tmp_path / "inbox", SETTLE) == []


@pytest.mark.parametrize(
    "name",
    [
        ".hidden.csv",
        "orders.csv.part",
        "orders.tmp",
        "orders.csv.crdownload",
        "orders.csv.filepart",
        "orders.csv~",
        "orders.truth.csv",
        "orders.truth.csv.gz",
    ],
)
def test_what_is_no_finished_file_of_orders_is_left_alone(name: str, tmp_path: Path) -> None:
    dropped(tmp_path, name)
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "dangling.csv").symlink_to(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "pipe.csv")
    assert settled_files(tmp_path, SETTLE) == []


def test_old_files_are_taken_without_waiting(tmp_path: Path) -> None:
    path = dropped(tmp_path, "orders.csv", age=100)
    started = time.monotonic()
    assert settled_files(tmp_path, 5.0) == [path]
    assert time.monotonic() - started < 1


def test_a_file_changed_just_now_is_taken_once_it_has_settled(tmp_path: Path) -> None:
    path = dropped(tmp_path, "orders.csv", age=0)
    started = time.monotonic()
    assert settled_files(tmp_path, SETTLE) == [path]
    assert time.monotonic() - started >= SETTLE


def test_a_file_is_not_taken_before_its_writer_is_done_with_it(tmp_path: Path) -> None:
    path = tmp_path / "orders.csv"
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert writer.stdout is not None
    assert writer.stdout.readline() == "writing\n"
    assert settled_files(tmp_path, SETTLE) == [], "it is growing"
    assert writer.stdout.readline() == "silent\n"
    time.sleep(SETTLE)
    assert settled_files(tmp_path, SETTLE) == [], "it is still open for writing"
    writer.communicate()
    assert writer.returncode == 0, "looking did not disturb the writer"
    assert settled_files(tmp_path, SETTLE) == [path]
    assert path.read_text().count("\n") == 20


def test_a_file_that_grows_between_two_looks_has_not_settled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = dropped(tmp_path, "orders.csv", age=0)

    def grow(_seconds: float) -> None:
        path.write_text("more than before")
        changed = time.time() - 60  # as a copying program that keeps times would
        os.utime(path, (changed, changed))

    monkeypatch.setattr(time, "sleep", grow)
    assert settled_files(tmp_path, SETTLE) == []


def test_a_reader_does_not_keep_a_file_from_being_taken(tmp_path: Path) -> None:
    path = dropped(tmp_path, "orders.csv")
    with path.open():
        assert settled_files(tmp_path, SETTLE) == [path]


def test_a_claimed_file_waits_below_the_name_of_its_job(workplace: Workplace) -> None:
    path = workplace.drop(workplace.simulated(10))
    claimed = claim(workplace.engine, workplace.settings, path)
    assert claimed.to_score
    job = claimed.job
    assert job.path == workplace.settings.claimed / str(job.id) / "orders.csv"
    assert files_below(workplace.settings.inbox.parent) == [f"claimed/{job.id}/orders.csv"]
    assert (job.status, job.filename, job.size_bytes) == (
        "pending",
        "orders.csv",
        job.path.stat().st_size,
    )


def test_a_file_that_is_kept_is_copied(workplace: Workplace) -> None:
    path = workplace.simulated(10)
    job = claim(workplace.engine, workplace.settings, path, keep=True).job
    assert path.exists()
    assert job.path is not None
    assert job.path.read_bytes() == path.read_bytes()
    assert len(files_below(workplace.settings.claimed)) == 1, "no unfinished copy is left"


def test_two_files_of_one_name_never_meet(workplace: Workplace) -> None:
    for seed in (1, 2):
        path = workplace.drop(workplace.simulated(10, seed=seed))
        workplace.run(claim(workplace.engine, workplace.settings, path).job)
    first, second = files_below(workplace.settings.processed)
    digest = workplace.value("SELECT sha256 FROM batch_jobs ORDER BY created_at DESC LIMIT 1")
    assert (first, second) == (f"orders-{digest[:12]}-1.csv", "orders.csv")


def test_known_content_is_put_among_the_duplicates(workplace: Workplace) -> None:
    path = workplace.simulated(10)
    job = workplace.score(path).job
    again = claim(workplace.engine, workplace.settings, workplace.drop(path, "again.csv"))
    assert (again.to_score, again.job.id) == (False, job.id)
    assert files_below(workplace.settings.inbox.parent) == [
        f"processed/duplicates/again-{job.sha256[:12]}.csv",
        "processed/orders.csv",
    ]


def test_a_known_file_that_is_kept_stays_where_it_is(workplace: Workplace) -> None:
    path = workplace.simulated(10)
    workplace.score(path)
    assert not claim(workplace.engine, workplace.settings, path, keep=True).to_score
    assert path.exists()
    assert files_below(workplace.settings.inbox.parent) == ["processed/orders.csv"]


def test_content_that_waits_is_not_taken_a_second_time(workplace: Workplace) -> None:
    path = workplace.simulated(10)
    first = claim(workplace.engine, workplace.settings, workplace.drop(path))
    second = claim(workplace.engine, workplace.settings, workplace.drop(path, "twin.csv"))
    assert (first.to_score, second.to_score) == (True, False)
    assert first.job.id == second.job.id
    assert first.job.path is not None
    assert first.job.path.exists()


@pytest.mark.parametrize(
    ("content", "folder"), [(None, "processed"), (b"no orders", "failed")], ids=["ok", "failed"]
)
def test_archiving_twice_ends_in_the_same_state(
    content: bytes | None, folder: str, workplace: Workplace
) -> None:
    path = workplace.simulated(10) if content is None else workplace.file(content)
    job = workplace.claim(path)
    finished = workplace.run(job).job
    target = archive(workplace.engine, workplace.settings, finished)
    assert target == getattr(workplace.settings, folder) / "orders.csv"
    assert archive(workplace.engine, workplace.settings, workplace.job(job)) == target
    assert files_below(workplace.settings.inbox.parent) == [f"{folder}/orders.csv"]
    assert workplace.job(job).path is None
    assert list(workplace.settings.claimed.iterdir()) == []


def test_the_file_of_an_unfinished_job_cannot_be_archived(workplace: Workplace) -> None:
    job = workplace.claim(workplace.simulated(10))
    with pytest.raises(ValueError, match="is pending; its file cannot be archived yet"):
        archive(workplace.engine, workplace.settings, job)
    assert job.path is not None
    assert job.path.exists()


@pytest.mark.parametrize(
    "name",
    [
        b"caf\xe9.csv",
        "注文 2026-03.csv".encode(),
        b"two\nlines.csv",
        b"x" * 251 + b".csv",
        "é".encode() * 120 + b".CSV.GZ",
        b"no ending at all",
        b"-rf; DROP TABLE orders;--.csv",
    ],
    ids=["latin-1", "unicode", "newline", "255 bytes", "long unicode", "no ending", "hostile"],
)
def test_a_file_of_any_name_is_scored_and_archived(name: bytes, workplace: Workplace) -> None:
    content = workplace.simulated(50, fault_share=0.2)
    path = workplace.drop(content, os.fsdecode(name))
    job = claim(workplace.engine, workplace.settings, path).job
    assert workplace.run(job).job.status == "completed"
    archived, refused = sorted(workplace.settings.processed.iterdir(), key=lambda p: len(p.name))
    assert archived.read_bytes() == content.read_bytes()
    assert refused.name.endswith(".rejected.csv")
    assert archived.suffix.lower() == Path(os.fsdecode(name)).suffix.lower()
    twin = claim(workplace.engine, workplace.settings, workplace.drop(content, os.fsdecode(name)))
    assert not twin.to_score
    assert len(files_below(workplace.settings.processed / "duplicates")) == 1
