"""Starting a keeper, and the lifeline to it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import kubedoctor
from kubedoctor.cluster.paths import PlacePaths
from kubedoctor.jsonform import to_json

# -I and -S: nothing of the environment, the working directory or site-packages is read, so it starts in 20 ms and imports
# what we ship and nothing else.
_BOOT = "import sys; sys.path.insert(0, sys.argv.pop(1)); from kubedoctor.cluster.keeper import main; main()"


def launch(
    place: PlacePaths, *, lock: int, instance: str, listeners: Sequence[Mapping[str, int]]
) -> tuple[socket.socket, subprocess.Popen[bytes]]:
    """Start the keeper of *place*, whose plan.json is written; return the lifeline and the process.

    The keeper takes over *lock* and the *listeners*; the caller closes its own copies. Until `release` has been sent over
    the lifeline, its end makes the keeper stop everything. The keeper is in a session of its own, without a terminal.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    descriptors = [theirs.fileno(), lock, *(entry["descriptor"] for entry in listeners)]
    task = {
        "place": str(place.directory),
        "lifeline": theirs.fileno(),
        "lock": lock,
        "instance": instance,
        "listeners": [to_json(entry) for entry in listeners],
    }
    root = str(Path(kubedoctor.__file__).resolve().parents[1])
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    log = os.open(place.keeper_log, flags, 0o600)
    try:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _BOOT, root, json.dumps(task)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=descriptors,
            start_new_session=True,
            env={"PATH": os.environ.get("PATH", os.defpath), "LANG": "C.UTF-8"},
        )
    except BaseException:
        ours.close()
        raise
    finally:
        os.close(log)
        theirs.close()
    return ours, process
