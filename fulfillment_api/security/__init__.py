"""Who may do what: API keys, the guard before every route, limits of rate and size."""
