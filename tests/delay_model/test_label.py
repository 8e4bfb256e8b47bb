import numpy as np

from fulfillment_assets.delay_model import label
from fulfillment_assets.delay_model.training.data import TrainingData


def test_one_means_late() -> None:
    assert (label.LATE, label.ON_TIME) == (1, 0)
    assert "1 = the order was NOT delivered on time" in label.MEANING


def test_deeply_discounted_orders_carry_the_late_label(simulated: TrainingData) -> None:
    discounted = simulated.features["discount_offered"].to_numpy() > 10
    assert discounted.sum() > 100
    assert np.all(simulated.late[discounted] == label.LATE)
