"""What twistd runs: configuration, the service tree, start, reload and drain."""
