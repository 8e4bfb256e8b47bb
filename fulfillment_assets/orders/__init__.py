"""The enriched order: its contract, how it is read from CSV, and how it is simulated."""
