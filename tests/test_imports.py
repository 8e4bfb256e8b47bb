"""Which package may import which. The table is the rule; the tree is held against it.

All imports count: those inside functions and those for type checkers alone, too.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest

from fulfillment_assets.settings import PROJECT_ROOT

MAY_IMPORT: dict[str, set[str]] = {
    "settings": set(),
    "observability": set(),
    "store": {"settings"},
    "orders": set(),
    "events": {"settings", "orders"},
    "documentation": {"settings", "orders", "events", "delay_model", "deviations", "agents"},
    "delay_model": {"settings", "store", "orders"},
    "kpis": {"observability", "settings", "store", "orders", "delay_model"},
    "deviations": {"settings", "store", "orders", "events", "delay_model"},
    "scoring": {
        "observability",
        "settings",
        "store",
        "orders",
        "events",
        "delay_model",
        "kpis",
        "deviations",
    },
    "monitoring": {"settings", "store", "orders", "delay_model", "kpis"},
    "knowledge": {"observability", "settings", "store", "orders"},
    "agents": {
        "observability",
        "settings",
        "store",
        "orders",
        "delay_model",
        "deviations",
        "knowledge",
    },
    "local": {
        "settings",
        "store",
        "orders",
        "events",
        "delay_model",
        "kpis",
        "deviations",
        "scoring",
    },
    "forkserver": {"settings", "local"},
    "run_worker": {"dagster", "forkserver"},
    "launcher": {"dagster", "local", "forkserver", "run_worker"},
    "daemon": {"dagster"},
    "dagster_storage": {"dagster"},
    "fulfillment_api": {
        "observability",
        "settings",
        "store",
        "orders",
        "events",
        "delay_model",
        "kpis",
        "deviations",
        "scoring",
        "monitoring",
        "knowledge",
        "agents",
    },
    "defs": {
        "observability",
        "dagster",
        "settings",
        "store",
        "orders",
        "events",
        "delay_model",
        "kpis",
        "deviations",
        "scoring",
        "monitoring",
        "knowledge",
        "agents",
    },
    "benchmarks": {
        "settings",
        "store",
        "orders",
        "events",
        "delay_model",
        "kpis",
        "deviations",
        "scoring",
        "local",
        "forkserver",
        "knowledge",
        "fulfillment_api",
    },
    "cli": {
        "settings",
        "store",
        "orders",
        "events",
        "delay_model",
        "kpis",
        "deviations",
        "scoring",
        "local",
        "fulfillment_api",
        "defs",
        "benchmarks",
        "monitoring",
        "knowledge",
        "agents",
    },
}
"""Each package, and the others that it may import; `definitions` is part of `defs`."""

DAGSTER = tuple(
    f"fulfillment_assets.{name}"
    for name in ("defs.", "definitions", "launcher", "run_worker", "daemon", "dagster_storage")
)
ROOTS = ("fulfillment_assets", "fulfillment_api", "benchmarks")
HEAVY = {"lightgbm", "sklearn", "pandas"}


class Import(NamedTuple):
    """One import: which package is imported, and where."""

    package: str
    line: int


def package_of(module: str) -> str | None:
    """The package of this project, or Dagster, to which a module belongs; None for the others."""
    top, *rest = module.split(".")
    if top == "fulfillment_assets":
        return {"definitions": "defs"}.get(rest[0], rest[0]) if rest else None
    if top == "dagster" or top.startswith("dagster_"):
        return "dagster"
    return top if top in (*ROOTS, "tests") else None


def imports_of(source: str, module: str) -> Iterator[Import]:
    """The imports of a module's source that concern this project or Dagster."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = module.split(".")[: -node.level] if node.level else []
            origin = ".".join([*base, *([node.module] if node.module else [])])
            names = [f"{origin}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            package = package_of(name)
            if package is not None:
                yield Import(package, node.lineno)


def modules() -> dict[str, Path]:
    """Every module of the project, by its dotted name."""
    return {
        ".".join(path.relative_to(PROJECT_ROOT).with_suffix("").parts): path
        for root in ROOTS
        for path in (PROJECT_ROOT / root).rglob("*.py")
    }


MODULES = modules()


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import dagster as dg", ["dagster"]),
        ("from dagster_postgres.x import y", ["dagster"]),
        ("def f():\n    import fulfillment_assets.defs.x", ["defs"]),
        ("if TYPE_CHECKING:\n    from fulfillment_assets.kpis.reads import Kpis", ["kpis"]),
        ("from fulfillment_assets import definitions, orders", ["defs", "orders"]),
        ("from ..kpis import reads", ["kpis"]),
        ("from . import rows", ["scoring"]),
        ("import tests.orders", ["tests"]),
        ("import numpy, dagsterish, json", []),
    ],
)
def test_every_way_to_import_is_seen(source: str, found: list[str]) -> None:
    imports = imports_of(source, "fulfillment_assets.scoring.module")
    assert [package for package, _ in imports] == found


def test_the_table_names_every_package_and_no_other() -> None:
    unnamed = {module: package_of(module) for module in MODULES}
    root = unnamed.pop("fulfillment_assets.__init__")
    assert root == "__init__"
    assert set(unnamed.values()) == set(MAY_IMPORT)


def test_the_table_has_no_circle() -> None:
    order = list(TopologicalSorter(MAY_IMPORT).static_order())
    assert order[-1] == "cli"


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_a_package_imports_only_what_the_table_allows(package: str) -> None:
    allowed = MAY_IMPORT[package] | {package}
    broken = [
        f"{path.relative_to(PROJECT_ROOT)}:{line} imports {imported}"
        for module, path in MODULES.items()
        if package_of(module) == package
        for imported, line in imports_of(path.read_text(), module)
        if imported not in allowed
    ]
    assert broken == []


def test_the_package_itself_imports_nothing() -> None:
    source = MODULES["fulfillment_assets.__init__"].read_text()
    assert list(imports_of(source, "fulfillment_assets.__init__")) == []


def test_only_the_definitions_and_what_replaces_a_part_of_dagster_import_it() -> None:
    importers = {
        module
        for module, path in MODULES.items()
        if "dagster" in {package for package, _ in imports_of(path.read_text(), module)}
    }
    assert importers
    assert [module for module in importers if not module.startswith(DAGSTER)] == []


def test_loading_the_definitions_loads_no_learning_library() -> None:
    program = "import fulfillment_assets.definitions, sys; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=PROJECT_ROOT, check=True, stdout=subprocess.PIPE
    )
    loaded = set(done.stdout.decode().split())
    assert "dagster" in loaded
    assert HEAVY & loaded == set()
