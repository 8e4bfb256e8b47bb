"""The live stream: reads what happened, and hands it to everybody who listens."""
