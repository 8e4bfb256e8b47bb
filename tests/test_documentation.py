"""The generated documents are committed as they would be generated now."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fulfillment_assets.documentation import documents, settings_table, with_region
from fulfillment_assets.settings import PROJECT_ROOT, Settings


def test_the_committed_documents_are_the_generated_ones() -> None:
    stale = [
        path.name for path, text in documents().items() if path.read_text(encoding="utf-8") != text
    ]
    assert stale == [], "run: python -m fulfillment_assets.documentation"


def test_every_setting_stands_in_the_table_with_its_meaning() -> None:
    lines = settings_table().splitlines()[2:]
    assert len(lines) == len(Settings.model_fields)
    assert all(re.fullmatch(r"\| `[A-Z_]+` \| .* \| .+\. .*\|", line) for line in lines)


def test_a_variable_of_the_table_sets_its_field(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FULFILLMENT_RETENTION_DAYS", "7")
    assert "`FULFILLMENT_RETENTION_DAYS`" in settings_table()
    assert Settings().retention_days == 7


def test_a_region_is_replaced_between_its_markers_only() -> None:
    text = "a\n<!-- x:start -->\nold \\1\n<!-- x:end -->\nb"
    once = with_region(text, "x", "new\n")
    assert once == "a\n<!-- x:start -->\nnew\n<!-- x:end -->\nb"
    assert with_region(once, "x", "new\n") == once


def test_missing_markers_are_an_error() -> None:
    with pytest.raises(ValueError, match="x:start"):
        with_region("no markers", "x", "table\n")


def test_every_make_target_of_the_readme_exists() -> None:
    readme = (PROJECT_ROOT / "README.md").read_text(encoding="utf-8")
    makefile = (Path(PROJECT_ROOT) / "Makefile").read_text(encoding="utf-8")
    named = set(re.findall(r"\bmake ([a-z]+)", readme)) - {"and", "a", "the"}
    targets = set(re.findall(r"^([a-z]+):", makefile, flags=re.MULTILINE))
    assert named
    assert named <= targets
