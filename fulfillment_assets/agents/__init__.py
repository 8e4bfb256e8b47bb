"""Specialists that settle deviations: cases, tools with the company's rules, and what they did."""
