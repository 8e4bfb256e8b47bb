"""Training as a job."""

import dagster as dg

from fulfillment_assets.defs.delay_model.assets import delay_classifier, training_data

train_model = dg.define_asset_job(
    "train_model",
    selection=dg.AssetSelection.assets(training_data, delay_classifier),
    description="Gather training data, train the delay classifier, and check its polarity.",
)
