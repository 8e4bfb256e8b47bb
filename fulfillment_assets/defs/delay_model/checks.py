"""Guards of the classifier."""

import dagster as dg

from fulfillment_assets.defs.delay_model.assets import delay_classifier
from fulfillment_assets.defs.resources import Platform


@dg.asset_check(
    asset=delay_classifier,
    blocking=True,
    description=(
        "Orders with a discount above 10 % were late without exception: they must score as "
        "nearly certain to be late. Fails if the label was inverted."
    ),
)
def label_polarity(platform: Platform) -> dg.AssetCheckResult:
    """Score synthetic orders whose outcome is known."""
    from fulfillment_assets.delay_model.polarity import check_label_polarity
    from fulfillment_assets.delay_model.scorer import DelayScorer

    report = check_label_polarity(DelayScorer.load(platform.settings.models_dir))
    return dg.AssetCheckResult(
        passed=report.passed,
        description=report.message,
        metadata={"orders": report.orders, "lowest_probability": report.lowest},
    )
