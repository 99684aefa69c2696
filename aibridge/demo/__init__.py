"""
A simulated provider: it speaks the vendors' dialects, asks for no key, and fails on request.

- `faults` is the table of its models: what each does, ordinary or scripted.
- `ask` is what a request comes down to, whatever the dialect; `text` is what is said to it, `schema` makes up tool
  arguments.
- `chat`, `responses`, `messages`, `completions`, `embeddings` and `models` read requests and write bodies and events;
  `vendors` has the headers, ids and refusals of the two vendors.
- `plan` decides the whole answer, fault included. All of these are pure.
- `delivery` sends a plan at its pace, or breaks it off; `resource` is the tree of paths.

It is no part of the bridge: it is reached over a socket, as every provider is.
"""
