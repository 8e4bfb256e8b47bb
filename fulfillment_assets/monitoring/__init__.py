"""How the model fares once it is used: outcomes, live quality, drift, and when to retrain."""
