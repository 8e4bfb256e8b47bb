"""A boosted-tree model as lookup tables: margins and SHAP values without walking a tree.

A tree splits its features at a few thresholds, so both its output and its SHAP values are
constant on each cell of the grid that those thresholds draw. At load, LightGBM itself is asked
for both, once per cell of each tree. Trees are then merged into few groups; a group's grid is
the common refinement of its trees' grids, and holds the sum of their values. To explain an
order is to find its cell in each group and to add what stands there.

SHAP values are those of LightGBM's `pred_contrib` (exact TreeSHAP, path-dependent: Lundberg et
al. 2020, "From local explanations to global understanding with explainable AI for trees").
They are additive per tree, which is what allows trees to be merged. They explain the margin:
uncalibrated log-odds of being late.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import prod
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from fulfillment_assets.delay_model.errors import DelayModelError

if TYPE_CHECKING:
    from lightgbm import Booster

Floats = npt.NDArray[np.float64]
Grid = Mapping[int, Floats]
"""For each feature used, by index: its thresholds, ascending and distinct."""

MAX_CELLS: Final = 1 << 16
"""Largest table of one group: keeps it in the processor's cache and its building quick."""


_ZERO: Final = 1.0000000180025095e-35
"""LightGBM reads a value this close to zero, or closer, as zero (its `kZeroThreshold`)."""


@dataclass(frozen=True, slots=True)
class _Tree:
    grid: Grid
    contributions: Mapping[int, Floats]  # each of the grid's shape
    margin: Floats
    base_value: float


@dataclass(frozen=True, slots=True)
class Group:
    """Merged trees.

    Attributes:
        features: indices of the features used.
        offsets: for each of them, what a bin of that feature adds to the cell's number. Bins are
            those of `TreeTables.thresholds`.
        values: shape (len(features) + 1, cells): the contribution of each feature, then the
            margin.
    """

    features: tuple[int, ...]
    offsets: tuple[npt.NDArray[np.intp], ...]
    values: Floats


class TreeTables:
    """Lookup tables of a whole model.

    Attributes:
        features: number of features of the model.
        base_value: expected margin; with an order's contributions it adds up to its margin.
        groups: the merged trees, in the order in which their values are added up.
    """

    def __init__(
        self,
        *,
        features: int,
        thresholds: Grid,
        groups: Sequence[Group],
        constant: float,
        base_value: float,
    ) -> None:
        """Take the parts as `build_tables` makes them.

        Args:
            features: number of features of the model.
            thresholds: of all trees together; they define the bins.
            groups: the merged trees.
            constant: summed output of the trees without a split.
            base_value: expected margin.
        """
        self.features = features
        self.groups = tuple(groups)
        self.base_value = base_value
        self._constant = constant
        self._thresholds = thresholds
        self._threshold_lists = {f: edges.tolist() for f, edges in thresholds.items()}
        self._row_groups = [
            ([(f, o.tolist()) for f, o in zip(g.features, g.offsets, strict=True)], g.values)
            for g in self.groups
        ]

    def lookup(self, matrix: Floats) -> tuple[Floats, Floats]:
        """Explain a batch.

        Args:
            matrix: shape (n, features), as of `FeatureEncoder.matrix`.

        Returns:
            SHAP values, shape (features, n), and margins, shape (n,); in log-odds.
        """
        bins = {f: np.searchsorted(edges, matrix[:, f]) for f, edges in self._thresholds.items()}
        contributions = np.zeros((self.features, len(matrix)))
        margin = np.full(len(matrix), self._constant)
        for group in self.groups:
            cell = np.zeros(len(matrix), np.intp)
            for feature, offsets in zip(group.features, group.offsets, strict=True):
                cell += offsets[bins[feature]]
            for feature, values in zip(group.features, group.values[:-1], strict=True):
                contributions[feature] += values[cell]
            margin += group.values[-1][cell]
        return contributions, margin

    def lookup_row(self, row: Sequence[float]) -> tuple[list[float], float]:
        """Explain one order: bit for bit what `lookup` says of it.

        Both add the same numbers in the same order, one IEEE addition each.
        """
        bins = {f: bisect_left(edges, row[f]) for f, edges in self._threshold_lists.items()}
        contributions = [0.0] * self.features
        margin = self._constant
        for offsets, table in self._row_groups:
            cell = sum([offset[bins[feature]] for feature, offset in offsets])
            *values, group_margin = table[:, cell].tolist()
            for (feature, _), value in zip(offsets, values, strict=True):
                contributions[feature] += value
            margin += group_margin
        return contributions, margin


def build_tables(booster: Booster) -> TreeTables:
    """Tabulate a LightGBM model of numerical splits without missing values.

    Raises:
        DelayModelError: the model has categorical splits, or a tree with more cells than
            `MAX_CELLS`.
    """
    trees = [_tabulate(booster, index, info) for index, info in enumerate(_tree_dumps(booster))]
    everything = _refine(tree.grid for tree in trees)
    split = [tree for tree in trees if tree.grid]
    return TreeTables(
        features=booster.num_feature(),
        thresholds=everything,
        groups=[_merge(members, everything) for members in _group(split)],
        constant=sum((float(tree.margin) for tree in trees if not tree.grid), 0.0),
        base_value=sum((tree.base_value for tree in trees), 0.0),
    )


def _tree_dumps(booster: Booster) -> list[dict[str, Any]]:
    return [info["tree_structure"] for info in booster.dump_model()["tree_info"]]


def _tabulate(booster: Booster, index: int, structure: dict[str, Any]) -> _Tree:
    """Ask LightGBM for the output and SHAP values of one tree on every cell of its grid."""
    grid = _grid_of(structure)
    shape = _shape(grid)
    if prod(shape) > MAX_CELLS:
        raise DelayModelError(
            f"Tree {index} of the model draws {prod(shape)} cells, more than {MAX_CELLS}: "
            "train with fewer leaves per tree (num_leaves)."
        )
    rows = np.zeros((prod(shape), booster.num_feature()))
    for axis, (feature, edges) in zip(np.indices(shape), grid.items(), strict=True):
        rows[:, feature] = _representatives(edges)[axis.ravel()]
    ask = partial(booster.predict, rows, start_iteration=index, num_iteration=1, num_threads=1)
    explained = np.asarray(ask(pred_contrib=True))
    margin = np.asarray(ask(raw_score=True))
    return _Tree(
        grid=grid,
        contributions={feature: explained[:, feature].reshape(shape) for feature in grid},
        margin=margin.reshape(shape),
        base_value=float(explained[0, -1]),
    )


def _grid_of(structure: dict[str, Any]) -> Grid:
    thresholds: dict[int, set[float]] = {}
    for node in _splits(structure):
        if node["decision_type"] != "<=" or node["missing_type"] != "None":
            raise DelayModelError(
                "The model splits on a category or a missing value; only numbers are supported."
            )
        threshold = node["threshold"]
        if threshold == -_ZERO:  # -_ZERO itself, read as zero, goes to the right
            threshold = float(np.nextafter(-_ZERO, -np.inf))
        thresholds.setdefault(node["split_feature"], set()).add(threshold)
    return {feature: np.array(sorted(thresholds[feature])) for feature in sorted(thresholds)}


def _splits(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if "split_feature" in node:
        yield node
        yield from _splits(node["left_child"])
        yield from _splits(node["right_child"])


def _representatives(edges: Floats) -> Floats:
    """One value in each bin: a split sends `value <= threshold` to the left."""
    return np.append(edges, np.nextafter(edges[-1], np.inf))


def _shape(grid: Grid) -> tuple[int, ...]:
    return tuple(len(edges) + 1 for edges in grid.values())


def _refine(grids: Iterator[Grid] | Sequence[Grid]) -> Grid:
    """The coarsest grid that refines all of them."""
    edges: dict[int, Floats] = {}
    for grid in grids:
        for feature, own in grid.items():
            edges[feature] = np.union1d(edges[feature], own) if feature in edges else own
    return dict(sorted(edges.items()))


def _group(trees: Sequence[_Tree]) -> list[list[_Tree]]:
    """Share the trees out among few groups of at most `MAX_CELLS` cells.

    Greedy, the largest tree first: a tree joins the group that it enlarges least.
    """
    groups: list[tuple[Grid, list[_Tree]]] = []
    for tree in sorted(trees, key=lambda tree: -tree.margin.size):
        joined = [_refine((grid, tree.grid)) for grid, _ in groups]
        growth = [
            (prod(_shape(new)) - prod(_shape(old)), place)
            for place, (new, (old, _)) in enumerate(zip(joined, groups, strict=True))
            if prod(_shape(new)) <= MAX_CELLS
        ]
        if growth:
            _, place = min(growth)
            groups[place] = (joined[place], [*groups[place][1], tree])
        else:
            groups.append((tree.grid, [tree]))
    return [members for _, members in groups]


def _merge(trees: Sequence[_Tree], everything: Grid) -> Group:
    grid = _refine(tree.grid for tree in trees)
    shape = _shape(grid)
    place = {feature: position for position, feature in enumerate(grid)}
    values = np.zeros((len(grid) + 1, *shape))
    for tree in trees:
        cells = _cells_in(tree.grid, grid)
        for feature, contribution in tree.contributions.items():
            values[place[feature]] += _spread(contribution, tree.grid, grid)[cells]
        values[-1] += _spread(tree.margin, tree.grid, grid)[cells]
    strides = [prod(shape[position + 1 :]) for position in range(len(shape))]
    offsets = tuple(
        np.searchsorted(edges, _representatives(everything[feature])) * stride
        for (feature, edges), stride in zip(grid.items(), strides, strict=True)
    )
    return Group(tuple(grid), offsets, values.reshape(len(grid) + 1, -1))


def _cells_in(coarse: Grid, fine: Grid) -> tuple[npt.NDArray[np.intp], ...]:
    """For each axis of `fine`, the bin of `coarse` that each of its bins lies in."""
    return np.ix_(
        *(
            np.searchsorted(coarse[feature], _representatives(edges))
            if feature in coarse
            else np.zeros(1, np.intp)
            for feature, edges in fine.items()
        )
    )


def _spread(values: Floats, coarse: Grid, fine: Grid) -> Floats:
    """`values` with an axis of length 1 for each feature that only `fine` uses."""
    return values.reshape([len(coarse[f]) + 1 if f in coarse else 1 for f in fine])
