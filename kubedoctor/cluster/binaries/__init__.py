"""Where the binaries of a plan come from: candidates are data of plugins, this package chooses, fetches, builds,
probes.

`versions` and `skew` are rules, `probe` asks binaries, `store` is the cache, `choice` decides, `errand` with `download`
and `gobuild` brings what is not there.
"""

from __future__ import annotations

from kubedoctor.cluster.binaries.choice import Chosen, Progress
from kubedoctor.cluster.binaries.probe import known_flags, rejects, version_of
from kubedoctor.cluster.binaries.provide import provide
from kubedoctor.cluster.binaries.skew import check_data_version, check_skew

__all__ = [
    "Chosen",
    "Progress",
    "check_data_version",
    "check_skew",
    "known_flags",
    "provide",
    "rejects",
    "version_of",
]
