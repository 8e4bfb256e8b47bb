"""Each resource: its endpoints, what they take and give, and their reads."""
