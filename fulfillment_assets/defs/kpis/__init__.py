"""The KPIs that are kept day by day."""
