"""KPI rollups: how they are kept right, rebuilt and read."""
