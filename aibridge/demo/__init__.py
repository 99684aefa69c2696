"""A simulated provider, spoken to over a loopback socket like any other."""
