"""Settings that change while the platform runs."""
