"""The `aibridge` command."""

from aibridge.cli.command import main

__all__ = ["main"]
