"""The delay model: its training data and the classifier."""
