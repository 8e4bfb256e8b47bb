"""A database in which a week has passed."""

from __future__ import annotations

import pytest
from sqlalchemy.engine import Engine

from tests.deviations.traffic import usual_week


@pytest.fixture
def week(engine: Engine) -> Engine:
    """A database with a usual week before noon."""
    usual_week(engine)
    return engine
