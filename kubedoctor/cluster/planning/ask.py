"""The one question to a binary that only a refusal needs: which feature gates it lists."""

from __future__ import annotations

import subprocess

from kubedoctor.cluster.planning.gates import listed

TIMEOUT = 10.0


def listed_gates(path: str) -> frozenset[str]:
    """Return the feature gates that `--help` of the binary lists; empty when it can't be asked."""
    try:
        done = subprocess.run(
            [path, "--help"], stdin=subprocess.DEVNULL, capture_output=True, timeout=TIMEOUT, check=False, env={}
        )
    except (OSError, subprocess.TimeoutExpired):
        return frozenset()
    return listed(done.stdout.decode(errors="replace"))
