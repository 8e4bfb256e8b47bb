"""Orders in, predictions, rollups and deviations out."""
