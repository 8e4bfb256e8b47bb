"""A process that has imported everything, and forks others from itself."""
