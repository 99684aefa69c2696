"""HTTP out: the treq client, its connections, and the way of the bytes back."""
