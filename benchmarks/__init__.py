"""
What a relayed request costs: the daemon and others, side by side in one run, on the same work.

- `c/` has the mock upstream and the load generator, compiled when first needed; `plain/` and `goproxy/` are references
  that have to be built too. `rig` runs mock and load on cores that the targets do not use.
- `targets` knows how each gateway is configured and started, and whether it is there at all; `measurements` what is
  asked of it; `rounds` puts the two together, in turn and repeated.
- `results` holds what was found, `table` and `thresholds` read it, `documents` writes it into ``docs/performance.md``.

Nothing here is installed with the package, and nothing here asserts a time: ratios within one run are compared.
``docs/performance.md`` tells the method.
"""
