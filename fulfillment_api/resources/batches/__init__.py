"""Files of orders: how far they are, and what became of their rows."""
