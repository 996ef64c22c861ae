"""The objects a plan applies: from "waiting for the API" to "it answers". Standard library only.

Part of the supervisor. All of it happens in its main thread but applying and asking, which post to it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from kubedoctor.cluster.applier import Applier
from kubedoctor.cluster.documents import Plan, State
from kubedoctor.cluster.probe import Prober, Verdict


class Manifests:
    """What has been applied, and whether it works.

    *post* has a function called in the main thread; *send* tells the keeper.
    """

    def __init__(
        self, plan: Plan, post: Callable[[Callable[[], None]], None], send: Callable[[Mapping[str, Any]], None]
    ) -> None:
        self._plan = plan
        self._post = post
        self._send = send
        self._applier: Applier | None = None
        self._busy_with = "waiting for the API" if plan.manifests else ""
        self._answering: dict[str, bool] = {}
        self._askers: list[Prober] = []

    @property
    def are_well(self) -> bool:
        """Whether everything is applied, and answers where it is asked."""
        return not self._busy_with and all(self._answering.values())

    def api_is_ready(self) -> None:
        """Begin to apply, unless that has begun already."""
        if self._busy_with and self._applier is None and self._plan.api is not None:
            self._applier = Applier(
                self._plan.api, self._plan.manifests, lambda busy_with: self._post(lambda: self._applied(busy_with))
            )
            self._applier.start()

    def end(self) -> None:
        """Apply and ask no more; does not wait for a request under way."""
        if self._applier is not None:
            self._applier.end()
        for asker in self._askers:
            asker.end()
        self._askers, self._answering = [], {}

    def _applied(self, busy_with: str) -> None:
        self._busy_with = busy_with
        self._send({"event": "note", "message": busy_with or "manifests are applied"})
        if not busy_with:
            self._ask()

    def _ask(self) -> None:
        for manifest in self._plan.manifests:
            if manifest.ready:
                self._answering[manifest.name] = False
                self._tell(manifest.name, State.STARTING, "")
                asker = Prober(manifest.ready, self._listener(manifest.name))
                self._askers.append(asker)
                asker.start()

    def _listener(self, name: str) -> Callable[[Verdict], None]:
        return lambda verdict: self._post(lambda: self._answered(name, verdict))

    def _answered(self, name: str, verdict: Verdict) -> None:
        if name in self._answering:  # else it is a late word of one that has been ended
            self._answering[name] = verdict.ready
            self._tell(name, State.READY if verdict.ready else State.STARTING, verdict.message)

    def _tell(self, name: str, state: State, message: str) -> None:
        self._send({"event": "state", "component": name, "state": state.value, "message": message, "pid_inside": 0})
