"""The stream of orders: ranges of messages become runs, and events leave through the relay."""
