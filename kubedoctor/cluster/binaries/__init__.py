"""Where the binaries of a plan come from: candidates are data of plugins, this package chooses, fetches, builds,
probes.

`versions` and `skew` are rules, `probe` asks binaries, `store` is the cache, `choice` decides, `errand` with `download`
and `gobuild` brings what is not there.
"""
