"""The AI Proxy: CONNECT, interception of TLS to providers, tunnels for everything else."""
