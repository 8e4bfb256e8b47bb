"""The live stream: server-sent events and a websocket."""
