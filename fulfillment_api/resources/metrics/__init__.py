"""Measurements for Prometheus."""
