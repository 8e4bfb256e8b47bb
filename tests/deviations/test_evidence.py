"""The e-value: its formula, and that chance makes it great as seldom as it may."""

from __future__ import annotations

import math

import numpy as np
import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from fulfillment_assets.deviations.evidence import LOG_E

STEPS = (0.08, 0.12, 0.18, 0.27, 0.4, 0.6)
NAMES = (
    "orders",
    "excess",
    "mean",
    "variance",
    "dispersion",
    "baseline_orders",
    "late",
    "usual_late",
    "late_dispersion",
)


def logarithms(
    engine: Engine, values: np.ndarray[tuple[int, int], np.dtype[np.float64]]
) -> list[float]:
    """Logarithms (n,) of the e-values of rows (n, 9) of `NAMES`, as PostgreSQL has them."""
    columns = {name: values[:, place].tolist() for place, name in enumerate(NAMES)}
    arrays = ", ".join(f"CAST(:{name} AS float8[])" for name in NAMES)
    query = (
        f"WITH t AS (SELECT * FROM unnest({arrays}) WITH ORDINALITY "
        f"AS t ({', '.join(NAMES)}, place)) SELECT evidence.log_e FROM t {LOG_E} ORDER BY place"
    )
    with engine.connect() as connection:
        return [float(found) for found in connection.execute(sa.text(query), columns).scalars()]


def coin_ratios(q: float, y: float, orders: float) -> list[float]:
    """Likelihood ratios of other coins, of which `y` of the orders show the upper face."""
    return [
        math.exp(orders * (y * math.log((q + step * (1 - q)) / q) + (1 - y) * math.log1p(-step)))
        for step in STEPS
    ]


def mixture(row: tuple[float, ...]) -> float:
    """The mean ratio of the coin that has the same mean and variance, and of that of the share."""
    orders, excess, mean, variance, dispersion, usual, late, usual_late, late_dispersion = row
    effective = orders / (1 + orders / usual)
    low = mean - variance / (1 - mean)
    ratios = coin_ratios(
        (mean - low) / (1 - low), (mean + excess - low) / (1 - low), effective / dispersion
    ) + coin_ratios(usual_late, late, effective / late_dispersion)
    return sum(ratios) / len(ratios)


@pytest.mark.parametrize(
    "row",
    [
        (100, 0.15, 0.6, 0.06, 1.0, 1e4, 0.3, 0.3, 1.0),
        (100, 0.05, 0.6, 0.06, 1.0, 1e4, 0.5, 0.3, 1.0),
        (30, 0.05, 0.3, 0.01, 1.0, 300, 0.1, 0.05, 2.0),
        (500, 0.1, 0.6, 0.06, 2.5, 1e5, 0.4, 0.3, 1.5),
        (200, -0.1, 0.5, 0.2, 1.0, 1e4, 0.4, 0.6, 1.0),
    ],
)
def test_it_is_the_mean_likelihood_ratio_of_two_coins(
    engine: Engine, row: tuple[float, ...]
) -> None:
    [found] = logarithms(engine, np.array([row]))
    assert math.exp(found) == pytest.approx(mixture(row))


@pytest.mark.parametrize(
    "row",
    [
        (1e7, 0.4, 0.6, 0.06, 1.0, 1e9, 1.0, 0.3, 1.0),
        (1e7, -0.6, 0.6, 0.06, 1.0, 1e9, 0.0, 0.3, 1.0),
        (100, 0.0, 1.0, 0.0, 1.0, 1e4, 1.0, 1.0, 1.0),
        (100, 0.9, 0.1, 0.0, 1.0, 1e4, 1.0, 0.0, 1.0),
    ],
    ids=["overwhelming", "none at all", "all certain", "all alike"],
)
def test_extremes_are_finite(engine: Engine, row: tuple[float, ...]) -> None:
    [found] = logarithms(engine, np.array([row]))
    assert math.isfinite(found)


def test_it_grows_with_excess_share_and_orders(engine: Engine) -> None:
    rows = [(100, d, 0.6, 0.06, 1.0, 1e6, 0.3, 0.3, 1.0) for d in (0.05, 0.1, 0.2)]
    rows += [(n, 0.2, 0.6, 0.06, 1.0, 1e6, 0.3, 0.3, 1.0) for n in (200, 400)]
    rows += [(400, 0.2, 0.6, 0.06, 1.0, 1e6, late, 0.3, 1.0) for late in (0.6, 0.9)]
    found = logarithms(engine, np.array(rows))
    assert found == sorted(found)


@pytest.mark.parametrize("upper", [0.9, 1.0], ids=["below one", "certain"])
def test_however_often_one_looks_chance_reaches_it_as_seldom_as_its_inverse(
    engine: Engine, upper: float
) -> None:
    """Ville: of 2,000 fair runs with a look at each order, at most 1 in 20 ever reaches 20."""
    random = np.random.default_rng(1)
    runs, length = 2_000, 60
    is_upper = random.random((runs, length)) < 0.3
    drawn = np.where(is_upper, upper, 0.45)
    mean = 0.3 * upper + 0.7 * 0.45
    variance = 0.3 * 0.7 * (upper - 0.45) ** 2
    orders = np.broadcast_to(np.arange(1, length + 1), drawn.shape).astype(float)
    excess = np.cumsum(drawn, axis=1) / orders - mean
    late = np.cumsum(is_upper, axis=1) / orders
    usual = [np.full(drawn.size, value) for value in (mean, variance, 1.0, 1e12)]
    share = [late.ravel(), *(np.full(drawn.size, value) for value in (0.3, 1.0))]
    found = logarithms(engine, np.stack([orders.ravel(), excess.ravel(), *usual, *share], axis=1))
    reached = np.array(found).reshape(runs, length).max(axis=1) >= math.log(20)
    assert 0.001 < reached.mean() <= 0.05
