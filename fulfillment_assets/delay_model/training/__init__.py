"""Training: where the data come from, which candidates there are, how the chosen one is fitted."""
