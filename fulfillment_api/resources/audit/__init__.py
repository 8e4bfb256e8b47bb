"""What was changed through the API, and by whom."""
