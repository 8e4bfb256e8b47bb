"""From a batch of orders to committed rows: the one way to score an order."""
