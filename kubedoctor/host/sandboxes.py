"""What to do where a sandbox of ours has lost something that `up` makes."""

from __future__ import annotations

import posixpath

from kubedoctor.checks import Fix, Safety, run
from kubedoctor.targets import Target, TargetKind


def made_by_up(target: Target, process: int, what: str) -> tuple[Fix, ...]:
    """Return how *what* comes back where *process* is in a sandbox of ours; nothing elsewhere.

    `up` writes the files of a running cluster again, and restarts only what has changed.
    """
    if target.kind is not TargetKind.KUBEDOCTOR or not process:
        return ()
    name = posixpath.basename(target.directory) or "local"
    option = () if name == "local" else ("--name", name)
    return (Fix(summary=f"have `up` make {what} again", safety=Safety.SAFE, steps=(run("kubedoctor", "up", *option),)),)
