from __future__ import annotations

import subprocess
import sys
from typing import cast

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.text import Text

from fulfillment_assets.delay_model.bands import DEFAULT_THRESHOLDS, measure_bands
from fulfillment_assets.delay_model.metrics import evaluate, expected_calibration_error
from fulfillment_assets.delay_model.training.data import TrainingData
from fulfillment_assets.delay_model.training.fit import TrainedModel
from fulfillment_assets.delay_model.training.plots import (
    calibration,
    confusion,
    figures,
    importances,
    png,
    roc,
    severity_bands,
)
from fulfillment_assets.delay_model.training.validation import OutOfFold
from fulfillment_assets.orders.contract import FEATURES

NAMES = {"roc", "calibration", "confusion", "importances", "severity_bands"}


def texts(figure: Figure) -> str:
    """Everything that is written in a figure."""
    png(figure)  # only drawing writes the labels of ticks
    texts = cast("list[Text]", figure.findobj(Text))
    return "\n".join(text.get_text() for text in texts)


@pytest.mark.parametrize("name", sorted(NAMES))
def test_a_picture_is_a_png_as_wide_as_the_page_and_names_its_axes(
    trained: TrainedModel, simulated: TrainingData, name: str
) -> None:
    figure = figures(trained, simulated)[name]
    picture = png(figure)
    assert picture.startswith(b"\x89PNG\r\n\x1a\n")
    assert int.from_bytes(picture[16:20], "big") == 700
    for axes in figure.axes[-1:]:
        assert axes.get_xlabel() or len(axes.get_xticklabels()) == 2
    assert figure.get_suptitle()


def test_there_are_all_pictures(trained: TrainedModel, simulated: TrainingData) -> None:
    assert set(figures(trained, simulated)) == NAMES


def test_the_same_model_gives_the_same_bytes(
    trained: TrainedModel, simulated: TrainingData
) -> None:
    one, two = (
        {name: png(figure) for name, figure in figures(trained, simulated).items()}
        for _ in range(2)
    )
    assert one == two
    assert len(set(one.values())) == len(NAMES)


def test_the_roc_curve_tells_the_area_under_it(trained: TrainedModel) -> None:
    auc = trained.metrics["roc_auc"]
    assert f"AUC {auc.mean:.3f} ± {auc.std:.3f}" in texts(roc(trained.out_of_fold))


def test_the_calibration_plot_tells_the_error_before_and_after(trained: TrainedModel) -> None:
    predicted = trained.out_of_fold
    told = texts(calibration(predicted))
    before = expected_calibration_error(predicted.late, predicted.raw)
    assert f"before: ECE {before:.3f} over all folds" in told
    assert f"{trained.metrics['ece'].mean:.3f} in a single one" in told


def test_the_confusion_matrix_tells_the_recall() -> None:
    late = np.array([1, 1, 1, 1, 0, 0], np.int8)
    probability = np.array([0.9, 0.9, 0.9, 0.4, 0.5, 0.51])
    predicted = OutOfFold(np.zeros(6, np.int64), late, probability, probability)
    told = texts(confusion(predicted))
    assert evaluate(late, probability)["recall"] == 0.75
    assert "75.0%\nof those that were late\n(50.0% of all)" in told
    assert "50.0%\nof those that were on time\n(16.7% of all)" in told


def test_the_discount_is_what_the_model_looks_at_most(
    trained: TrainedModel, simulated: TrainingData
) -> None:
    figure = importances(trained, simulated.features)
    png(figure)
    for axes in figure.axes:
        widths = [bar.get_width() for bar in axes.patches if isinstance(bar, Rectangle)]
        assert len(widths) == len(FEATURES)
        assert max(widths) == widths[-1]
    assert figure.axes[0].get_yticklabels()[-1].get_text() == "discount offered"


def test_the_bands_are_drawn_with_their_precision() -> None:
    late = np.array([1, 1, 1, 0, 0, 1], np.int8)
    probability = np.array([0.9, 0.95, 0.99, 0.8, 0.4, 0.4])
    told = texts(severity_bands(measure_bands(probability, late, DEFAULT_THRESHOLDS)))
    assert "critical\n0.7 to 1" in told
    for value in ("66.7%", "75.0%", "33.3%", "50.0%"):
        assert value in told


def test_drawing_leaves_the_state_of_matplotlib_alone() -> None:
    program = """
import sys
from fulfillment_assets.delay_model.bands import Band
from fulfillment_assets.delay_model.training.plots import png, severity_bands
assert "matplotlib" not in sys.modules
png(severity_bands([Band(severity="info", above=0.3, up_to=0.5, share=1.0, late_rate=0.4)]))
assert "matplotlib.pyplot" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True)
