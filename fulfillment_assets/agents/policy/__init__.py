"""How the offline policy model decides: one module for the router and for each specialist."""
