"""The models that are known here: versions, the champion among them, and how it is chosen."""
