"""Deviations: orders and segments that need attention."""
