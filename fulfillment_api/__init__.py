"""The REST API over the platform's tables."""
