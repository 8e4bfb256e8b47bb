"""What the API tells of itself: a log line and a measurement for each request."""
