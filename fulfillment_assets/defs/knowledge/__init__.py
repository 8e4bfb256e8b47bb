"""The index of the knowledge base."""
