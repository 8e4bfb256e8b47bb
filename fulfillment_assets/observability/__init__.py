"""What every process tells of itself: log lines with fields, and the id that ties them together."""
