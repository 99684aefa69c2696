"""HTTP/1.1 as pure rules: which request and response heads are well formed, and how their bodies are framed."""
