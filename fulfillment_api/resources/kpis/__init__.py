"""KPIs: of a window, by segment, over time."""
