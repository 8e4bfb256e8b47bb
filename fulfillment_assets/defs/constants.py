"""Names, owners and limits that the definitions share."""

import datetime as dt
from typing import Final

import dagster as dg

ML_OWNER: Final = "team:ml"
OPERATIONS_OWNER: Final = "team:operations"

MODEL_GROUP: Final = "delay_model"
ORDERS_GROUP: Final = "orders"
MONITORING_GROUP: Final = "monitoring"
AGENTS_GROUP: Final = "agents"

FIRST_DAY: Final = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
DAYS: Final = dg.DailyPartitionsDefinition(start_date=FIRST_DAY, timezone="UTC", end_offset=1)
"""UTC days of receipt, today included."""

BATCH_JOB_TAG: Final = "fulfillment/batch_job"
CORRELATION_TAG: Final = "fulfillment/correlation_id"
"""Of a run that one upload or file brought about: its log lines have that id."""

DATABASE_RETRY: Final = dg.RetryPolicy(max_retries=3, delay=2, backoff=dg.Backoff.EXPONENTIAL)
