"""Predictions of single orders, at once."""
