"""HTTP in: the channel, the exchange, the admin pages, and the one table of faults."""
