"""Events in Kafka: how it is reached, and the topics."""
