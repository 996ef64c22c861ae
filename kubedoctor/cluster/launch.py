"""Starting a keeper, and the lifeline to it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import kubedoctor
from kubedoctor.cluster.channel import Channel
from kubedoctor.cluster.paths import PlacePaths

# -I and -S: nothing of the environment, the working directory or site-packages is read, so it starts fast and imports
# what we ship and nothing else.
_BOOT = "import sys; sys.path.insert(0, sys.argv.pop(1)); from kubedoctor.cluster.keeper import main; main()"


class EarlyKeeper:
    """A keeper without a place yet: it starts and imports while `up` plans and issues certificates.

    It is in a session of its own, without a terminal. When the lifeline ends before it was given a place, it ends.
    """

    def __init__(self, place: PlacePaths) -> None:
        """Start it; *place* is only named here, for whoever looks at the list of processes."""
        self._place = place
        self.lifeline, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        root = str(Path(kubedoctor.__file__).resolve().parents[1])
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", _BOOT, root, str(theirs.fileno()), str(place.directory)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
                cwd="/",
                env={"PATH": os.environ.get("PATH", os.defpath), "LANG": "C.UTF-8"},
            )

    def begin(
        self, *, lock: int, instance: str, listeners: Sequence[Mapping[str, int]]
    ) -> tuple[socket.socket, subprocess.Popen[bytes]]:
        """Give it its place, whose plan.json is written by now; return the lifeline and the process.

        The keeper gets duplicates of *lock* and the *listeners*; the caller closes its own. Until `release` has been
        sent over the lifeline, its end makes the keeper stop everything.
        """
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        log = os.open(self._place.keeper_log, flags, 0o600)
        task = {
            "place": str(self._place.directory),
            "instance": instance,
            "listeners": [{"outside": entry["outside"], "inside": entry["inside"]} for entry in listeners],
        }
        channel = Channel(socket.socket(fileno=os.dup(self.lifeline.fileno())))
        try:
            channel.send(task, [log, lock, *(entry["descriptor"] for entry in listeners)])
            while channel.wants_write:
                channel.wait(1.0)
        finally:
            os.close(log)
            channel.close()
        return self.lifeline, self.process

    def abandon(self) -> None:
        """End it, unless it was given a place."""
        self.lifeline.close()
        self.process.wait()


def launch(
    place: PlacePaths, *, lock: int, instance: str, listeners: Sequence[Mapping[str, int]]
) -> tuple[socket.socket, subprocess.Popen[bytes]]:
    """Start the keeper of *place*; see `EarlyKeeper.begin`."""
    return EarlyKeeper(place).begin(lock=lock, instance=instance, listeners=listeners)
