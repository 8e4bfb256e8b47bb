"""The fulfilment platform: an asset graph that scores orders for delay risk and acts on it."""
