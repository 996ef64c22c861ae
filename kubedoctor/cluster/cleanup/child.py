"""Clearing the host by a child of the keeper, which does not import what that needs. Standard library only."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import kubedoctor
from kubedoctor.cluster.cleanup.record import has_record
from kubedoctor.cluster.paths import PlacePaths

LONGEST = 60.0
"""Seconds a child may take; what it leaves then, the next command finds on record."""

# -I: nothing of the environment or the working directory is read; site-packages is, for the runtime speaks gRPC.
_BOOT = "import sys; sys.path.insert(0, sys.argv[1]); from kubedoctor.cluster.cleanup.run import main; main()"
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


_LEFT = "something of it is left on this machine: `kubedoctor down` removes it, or tells why not"


def clear_in_child(place: PlacePaths) -> str:
    """Have a child clear the place, its words going where ours go; return a line where something stays, else "".

    For the keeper, which holds the lock and does not import what this needs. What stays is on record.
    """
    if not has_record(place):
        return ""
    import subprocess  # at the end of a cluster on the host only

    root = str(Path(kubedoctor.__file__).resolve().parents[1])
    path = ":".join(filter(None, (os.environ.get("PATH", ""), _PATH)))
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-c", _BOOT, root, str(place.directory)],
            stdin=subprocess.DEVNULL,
            env={"PATH": path, "LANG": "C.UTF-8"},
            timeout=LONGEST,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as problem:
        sys.stderr.write(f"clearing the host: {problem}\n")
        return _LEFT
    return _LEFT if done.returncode else ""
