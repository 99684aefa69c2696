"""Who is it? The backends that answer: a file, a Coder deployment, nobody; and how failures are counted."""
