"""What became of the orders, how good the predictions were, and whether orders have changed."""
