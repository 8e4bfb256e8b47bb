"""Files of orders that are handed in: received, registered, and answered at once."""
