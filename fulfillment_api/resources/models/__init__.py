"""The known models, and which of them scores."""
