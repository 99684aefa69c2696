"""
aibridge: one daemon between AI clients and AI providers.

- A request comes in at `web.channel` (HTTP/1.1, strict and bounded); `web.bridge` makes it an **exchange** as soon
  as its head is complete, before a byte of its body is read.
- The exchange asks `identity` who it is (`auth` holds the pure rules), `admission` whether it may go now, and
  `providers` where to. Everything on these floors is pure: the time is an argument.
- `relay` takes the request to the provider and the answer back, byte for byte, pausing whichever side is faster;
  `relay.headers` is the one table of what crosses.
- Whatever goes wrong is an exception of `errors`; `web.faults` alone turns it into a status and a body in the
  caller's dialect. An exchange has one ending, which returns the permit, the upstream call and the log line.
- `mitm` is the AI Proxy, a daemon of its own: it intercepts TLS to providers for clients whose base URL cannot be
  changed, and hands their requests to the bridge; everything else is tunnelled, or refused.
- `daemon` reads the configuration, builds all of this once, and starts, reloads and drains it under `twistd`.

Floors, each importing only from those below it or its own: 1 `model`, `errors`, `interfaces`, `secret`, `options`,
`deadlines`, `log`, `tally`; 2 `wire`, `dialects`, `metrics`, `exposition`, `relay.headers`; 3 `admission`, `auth`,
`providers`, and of `mitm` what decides;
4 `web`, `relay`, `identity`, `demo`, `mitm`; 5 `daemon`; 6 `cli` and the twistd plugin.
"""

__version__ = "26.11.0"
