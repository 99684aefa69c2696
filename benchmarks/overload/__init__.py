"""
What the bridge does when more is asked of it than it may let through: who is served, who waits, who is told to come
back and when, and what that costs those who are served.

- `scenes` says who asks for what, and how the bridge is configured for it; `callers` are those who ask.
- `bridge` starts a real daemon; `crowd` has the callers ask it, by a program of C that asks at its own pace whatever it
  is answered.
- `figures` reads what came of it, `promises` compares that with what has to hold, `report`, `plots` and `page` tell it.

Everything but the daemon, mock and load is pure. ``docs/overload.md`` tells the method, and what follows from the
figures for those who run the bridge.
"""
