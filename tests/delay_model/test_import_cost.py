import subprocess
import sys

_PRINT_HEAVY = """
import sys
import fulfillment_assets.delay_model.polarity
import fulfillment_assets.delay_model.scorer
import fulfillment_assets.delay_model.training
print(*sorted({"lightgbm", "sklearn", "scipy", "joblib"} & set(sys.modules)))
"""


def test_importing_the_package_does_not_import_the_learning_libraries() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _PRINT_HEAVY], check=True, capture_output=True, text=True
    )
    assert done.stdout.split() == []
