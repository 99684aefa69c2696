"""
What heeding the provider's limits is worth: the same callers ask the same provider, once through a bridge that heeds
what the provider says (``heed_limits``, as shipped), and once through one that does not.

Time is virtual and chance is seeded: an hour takes seconds, and comes out the same each time and everywhere.

- `quotas` counts as vendors count: windows and buckets, of requests and of tokens. `rules` says which vendor counts
  how, and `spoken` in which words it tells.
- `vendor` is a provider that enforces them; its address is that of a client of the relay, so no socket is needed.
- `bridge` is the real thing, from a configuration on: routes, buckets, keys, exchanges, on connections in memory.
- `callers` are those who ask, and `scene` what comes of it.
- `mistakes` has a scene for each way in which one caller may harm another, `matrix` one for each rule and load.
- `bars` says what has to hold, `report` and `command` tell it; ``docs/limits.md`` has the figures.

All of it is pure but for the last.
"""
