"""What the agents did, and what waits for a person."""
