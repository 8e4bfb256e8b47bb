"""Measurements of the platform. Each script's docstring says what it times and how."""
