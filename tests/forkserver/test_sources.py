"""Changes of source code are noticed."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from fulfillment_assets.forkserver.sources import SourceWatch


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package with a module and a subpackage."""
    for name in ("__init__.py", "module.py", "deep/__init__.py", "deep/module.py", "data.csv"):
        path = tmp_path / "watched" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("one = 1\n")
    (tmp_path / "single.py").write_text("one = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path / "watched"


@pytest.mark.parametrize(
    "change",
    [
        lambda package: (package / "deep/module.py").write_text("one = 11\n"),
        lambda package: os.utime(package / "module.py", ns=(0, 1)),
        lambda package: (package / "deep/other.py").write_text(""),
        lambda package: (package / "module.py").unlink(),
        lambda package: (package.parent / "single.py").write_text(""),
    ],
    ids=["edited", "touched", "added", "removed", "single module edited"],
)
def test_a_change_is_noticed(package: Path, change: Callable[[Path], object]) -> None:
    watch = SourceWatch(["watched", "single"], pause_seconds=0)
    assert not watch.changed()
    change(package)
    assert watch.changed()


def test_other_files_do_not_matter(package: Path) -> None:
    watch = SourceWatch(["watched"], pause_seconds=0)
    (package / "data.csv").write_text("1")
    (package.parent / "single.py").write_text("")
    assert not watch.changed()


def test_a_change_is_not_forgotten_when_it_is_undone(package: Path) -> None:
    watch = SourceWatch(["watched"], pause_seconds=0)
    added = package / "other.py"
    added.touch()
    assert watch.changed()
    added.unlink()
    assert watch.changed()


def test_an_answer_holds_for_the_pause(package: Path) -> None:
    watch = SourceWatch(["watched"], pause_seconds=60)
    (package / "module.py").unlink()
    assert not watch.changed()


def test_a_package_that_is_not_there_is_named() -> None:
    with pytest.raises(ModuleNotFoundError, match="no_such_package"):
        SourceWatch(["no_such_package"])
