"""The knowledge base: its documents, and searches in them."""
