"""Services that run on the developer's own machine, and the supervisor that keeps them up."""
