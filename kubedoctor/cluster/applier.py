"""Applying manifests and waiting for what they promise, in a thread of the supervisor. Standard library only."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from typing import Any

from kubedoctor.cluster.documents import PlannedManifest, PlannedProbe
from kubedoctor.cluster.http import Answer, Connection, tls_context

INTERVAL = 0.05
"""Seconds between tries: an object can come before its namespace's controller, or its kind's definition, is there."""


class Applier(threading.Thread):
    """Applies all objects of all manifests server-side, then asks for what they wait for.

    *report* is called with what it is busy with, and with "" when all is done.
    """

    def __init__(
        self, api: PlannedProbe, manifests: tuple[PlannedManifest, ...], report: Callable[[str], None]
    ) -> None:
        super().__init__(daemon=True)
        self._api = api
        self._manifests = manifests
        self._report = report
        self._ended = threading.Event()
        self._said = ""

    def run(self) -> None:
        """Work until everything is applied and answers."""
        api = self._api
        context = tls_context(api.ca_file, api.cert_file, api.key_file)
        connection = Connection(api.address, api.port, context, timeout=10.0)
        for manifest in self._manifests:
            for path, body in zip(manifest.paths, manifest.objects, strict=True):
                self._until(manifest.name, lambda p=path, b=body: _apply(connection, p, b))  # type: ignore[misc]
        for manifest in self._manifests:
            for path in manifest.wait:
                self._until(manifest.name, lambda p=path: connection.request("GET", p))  # type: ignore[misc]
        connection.close()
        if not self._ended.is_set():
            self._report("")

    def _until(self, name: str, ask: Callable[[], Answer]) -> None:
        """Ask until the answer is a success, saying each new reason why it is not."""
        while not self._ended.is_set():
            try:
                answer = ask()
                if 200 <= answer.status < 300:
                    return
                reason = _message(answer)
            except OSError as problem:
                reason = str(problem)
            said = f"manifest {name}: {reason}"
            if said != self._said:
                self._said = said
                self._report(said)
            self._ended.wait(INTERVAL)

    def end(self) -> None:
        """Give up; does not wait for a request under way."""
        self._ended.set()


def _apply(connection: Connection, path: str, body: Mapping[str, Any]) -> Answer:
    query = "?fieldManager=kubedoctor&force=true"
    headers = {"Content-Type": "application/apply-patch+yaml"}  # JSON is YAML
    return connection.request("PATCH", path + query, json.dumps(body).encode(), headers)


def _message(answer: Answer) -> str:
    try:
        return str(json.loads(answer.body)["message"])[:300]
    except (ValueError, KeyError, TypeError):
        return f"HTTP {answer.status}"
