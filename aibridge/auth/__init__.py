"""Who is it? Credentials on the wire and tokens at rest, pure."""
