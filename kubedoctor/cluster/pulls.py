"""The proxy for image pulls as the keeper sees it: a forked process that is made again when it dies."""

from __future__ import annotations

import os
import socket

from kubedoctor.cluster.documents import Pulls
from kubedoctor.cluster.forked import live_as
from kubedoctor.cluster.pull_proxy import Proxy


class PullProcess:
    """The proxy of one place. It is forked when its listener has come from inside."""

    def __init__(self, pulls: Pulls, secret: str) -> None:
        self._pulls = pulls
        self._secret = secret
        self._listener = self._lifeline = -1
        self._pid = 0

    def listen(self, listener: int) -> None:
        """Serve *listener*, whose descriptor is ours from now on."""
        self._listener = listener
        self._fork()

    def settle(self, pulls: Pulls) -> None:
        """Serve new connections with other settings; those under way go on with the old ones."""
        if pulls != self._pulls:
            self._pulls = pulls
            if self._listener >= 0:
                self._fork()

    def ended(self, pid: int) -> bool:
        """Make a new process when *pid* was it; return whether it was. The listener was kept open here meanwhile."""
        if pid != self._pid:
            return False
        self._fork()
        return True

    def _fork(self) -> None:
        """Fork a new one. An earlier one sees its lifeline end, accepts no more, and ends with its last connection."""
        if self._lifeline >= 0:
            os.close(self._lifeline)
        theirs, ours = os.pipe()
        pid = os.fork()
        if pid == 0:
            live_as("kd-pulls", {theirs, self._listener}, lambda: self._work(theirs))
        os.close(theirs)
        self._pid, self._lifeline = pid, ours

    def _work(self, lifeline: int) -> None:
        Proxy(self._pulls, self._secret).run(socket.socket(fileno=self._listener), lifeline)
