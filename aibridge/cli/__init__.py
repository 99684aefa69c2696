"""The `aibridge` command."""
