"""The agents: critical deviations are claimed by a sensor, and worked by runs."""
