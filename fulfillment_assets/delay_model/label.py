"""What the label means. This is the only place that says so.

The public data set names its label `Reached.on.Time_Y.N`, and its values say the opposite of
that name: **1 means that the order did NOT reach the customer on time**. Everything in this
project speaks of `is_late` instead, with 1 = late, and every probability is that of being late.
"""

from __future__ import annotations

from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

IS_LATE: Final = "is_late"
LATE: Final = 1
ON_TIME: Final = 0

MEANING: Final = "1 = the order was NOT delivered on time (late), 0 = it was delivered on time"

Labels: TypeAlias = npt.NDArray[np.int8]
"""One value per order, `LATE` or `ON_TIME`, shape (n,)."""
