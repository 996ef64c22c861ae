"""What the keeper lends to the inside: ports of the host's loopback, image pulls, a wire. Standard library only."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from kubedoctor.cluster.documents import Plan
from kubedoctor.cluster.pulls import PullProcess
from kubedoctor.cluster.relays import Listener, RelayProcess
from kubedoctor.cluster.wire import Outside


class Lent:
    """The processes outside that serve listeners made inside. They end with the keeper."""

    def __init__(self, plan: Plan, secret: str) -> None:
        self._relay = RelayProcess()
        self._wire = Outside(plan.wire) if plan.wire else None
        self._pulls = PullProcess(plan.pulls, secret) if plan.pulls else None

    def connect(self, pid: int) -> dict[str, Any]:
        """Make what the sandbox of process *pid* has to find when it begins; return what it has to be told of it."""
        return {"wire": self._wire.connect(pid)} if self._wire is not None else {}

    def disconnect(self) -> None:
        """Remove what would be there for a moment after the sandbox has gone."""
        if self._wire is not None:
            self._wire.disconnect()

    def heard(self, message: Mapping[str, Any], descriptors: Sequence[int]) -> None:
        """Serve the listeners that the supervisor made; the descriptors stay the caller's."""
        if message["event"] == "pulls":
            if self._pulls is not None:
                self._pulls.listen(os.dup(descriptors[0]))
            return
        for port, descriptor in zip(message["ports"], descriptors, strict=True):
            self._relay.add(Listener(os.dup(descriptor), "127.0.0.1", port, port))

    def ended(self, pid: int) -> None:
        """Make the process again that had *pid*, if it was one of these."""
        if not self._relay.ended(pid) and self._pulls is not None:
            self._pulls.ended(pid)

    def replanned(self, plan: Plan) -> None:
        """Serve as *plan* now says."""
        if self._pulls is not None and plan.pulls is not None:
            self._pulls.settle(plan.pulls)
