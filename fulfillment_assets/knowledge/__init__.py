"""What the agents know: company rules, documents, and the index that finds them by meaning."""
