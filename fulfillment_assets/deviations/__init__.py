"""Which orders deviate, and the events that say so."""
