"""What twistd runs as the AI Proxy."""
