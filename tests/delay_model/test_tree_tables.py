from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from lightgbm import Booster, Dataset
from lightgbm import train as boost

from fulfillment_assets.delay_model.errors import DelayModelError
from fulfillment_assets.delay_model.tree_tables import MAX_CELLS, TreeTables, build_tables

Floats = npt.NDArray[np.float64]
FEATURES = 6


def _data(rows: int, seed: int) -> tuple[Floats, npt.NDArray[np.int8]]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, FEATURES))
    x[:, 0] = np.round(x[:, 0])
    margin = x[:, 0] * x[:, 1] + np.sin(3 * x[:, 2]) - 0.5 * x[:, 3] + 0.4
    return x, (rng.random(rows) < 1 / (1 + np.exp(-margin))).astype(np.int8)


def _booster(*, rounds: int, seed: int = 1, **parameters: Any) -> Booster:
    x, y = _data(2000, seed)
    settings = {"objective": "binary", "verbose": -1, "num_threads": 1, "seed": 1} | parameters
    return boost(settings, Dataset(x, y), rounds)


@pytest.fixture(scope="module", params=[3, 6, 9])
def booster(request: pytest.FixtureRequest) -> Booster:
    return _booster(rounds=60, num_leaves=request.param)


@pytest.fixture(scope="module")
def tables(booster: Booster) -> TreeTables:
    return build_tables(booster)


def _on_the_thresholds(booster: Booster) -> Floats:
    """Rows whose values lie exactly on a threshold, or one step beside it."""
    splits = booster.trees_to_dataframe().dropna(subset=["split_feature"])
    rows = np.zeros((3 * len(splits), FEATURES))
    for number, (name, threshold) in enumerate(
        zip(splits["split_feature"], splits["threshold"], strict=True)
    ):
        feature = int(name.removeprefix("Column_"))
        beside = np.nextafter(threshold, [-np.inf, threshold, np.inf])
        rows[3 * number : 3 * number + 3, feature] = beside
    return rows


def test_tables_equal_lightgbm_on_random_rows(booster: Booster, tables: TreeTables) -> None:
    _assert_equal(booster, tables, _data(5000, seed=2)[0])


def test_tables_equal_lightgbm_on_and_beside_every_threshold(
    booster: Booster, tables: TreeTables
) -> None:
    _assert_equal(booster, tables, _on_the_thresholds(booster))


def test_contributions_add_up_to_the_margin(tables: TreeTables) -> None:
    contributions, margin = tables.lookup(_data(2000, seed=3)[0])
    assert np.allclose(tables.base_value + contributions.sum(axis=0), margin, rtol=0, atol=1e-9)


def test_one_row_has_the_same_bits_as_in_a_batch(booster: Booster, tables: TreeTables) -> None:
    rows = np.vstack([_data(300, seed=4)[0], _on_the_thresholds(booster)[:300]])
    contributions, margin = tables.lookup(rows)
    for number, row in enumerate(rows.tolist()):
        assert tables.lookup_row(row) == (contributions[:, number].tolist(), margin[number])


def test_trees_too_many_for_one_table_share_several(tables: TreeTables) -> None:
    assert all(group.values.shape[1] <= MAX_CELLS for group in tables.groups)


def test_many_leaves_need_several_tables() -> None:
    assert len(build_tables(_booster(rounds=60, num_leaves=9)).groups) > 1


def test_a_model_that_learnt_nothing_says_its_average() -> None:
    booster = _booster(rounds=5, min_gain_to_split=1e9)
    tables = build_tables(booster)
    rows = _data(10, seed=5)[0]
    _assert_equal(booster, tables, rows)
    assert tables.groups == ()
    assert tables.lookup_row(rows[0].tolist()) == ([0.0] * FEATURES, tables.lookup(rows)[1][0])


def test_a_tree_with_too_many_cells_is_refused_with_the_remedy() -> None:
    booster = _booster(rounds=1, num_leaves=200, min_data_in_leaf=2)
    with pytest.raises(DelayModelError, match=r"train with fewer leaves per tree \(num_leaves\)"):
        build_tables(booster)


def test_a_split_on_categories_is_refused() -> None:
    x, _ = _data(2000, seed=1)
    x[:, 0] += 10
    y = x[:, 0] % 2
    parameters = {"objective": "binary", "verbose": -1, "num_threads": 1}
    booster = boost(parameters, Dataset(x, y, categorical_feature=[0]), 5)
    with pytest.raises(DelayModelError, match="only numbers are supported"):
        build_tables(booster)


def _assert_equal(booster: Booster, tables: TreeTables, rows: Floats) -> None:
    contributions, margin = tables.lookup(rows)
    explained = np.asarray(booster.predict(rows, pred_contrib=True))
    expected_margin = np.asarray(booster.predict(rows, raw_score=True))
    assert np.allclose(contributions.T, explained[:, :-1], rtol=0, atol=1e-9)
    assert np.allclose(margin, expected_margin, rtol=0, atol=1e-9)
    assert tables.base_value == pytest.approx(explained[0, -1], abs=1e-9)
