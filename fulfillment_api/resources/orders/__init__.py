"""Orders: their state, and their whole story."""
