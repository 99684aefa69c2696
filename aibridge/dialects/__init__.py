"""What the bytes of each wire format mean, and how each says that something failed."""
