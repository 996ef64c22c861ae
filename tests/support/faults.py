"""Faults made for real, and what `kubedoctor check` says of them.

Recordings of faults are fixtures of other tests. They are made by running the tests of the faults with
KUBEDOCTOR_RECORDINGS=DIRECTORY, in a namespace where nothing else is to be seen:

    python tests/fixtures/record.py tests/integration/faults/test_etcd.py
"""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.command import Kubedoctor

RECORDINGS = Path(__file__).parents[1] / "fixtures" / "recordings"


@dataclass(frozen=True)
class Seen:
    """What `kubedoctor check` reports of the machine and one cluster; others may run here, and be ill."""

    status: int
    report: Mapping[str, Any]
    cluster: str

    @property
    def results(self) -> list[Mapping[str, Any]]:
        return [one for one in self.report["results"] if one["target"] in ("machine", self.cluster)]

    def outcome(self, check: str, target: str = "") -> str:
        """Return what became of a check, the worst of several targets."""
        found = {str(one["outcome"]) for one in self._of(check, target)}
        return min(
            found, key=("failed", "crashed", "timed-out", "unknown", "skipped", "passed", "not-applicable").index
        )

    def findings(self, check: str = "", *, severity: str = "") -> list[Mapping[str, Any]]:
        """Return the findings of a check, or of all."""
        return [
            finding
            for result in self.results
            for finding in result["findings"]
            if check in ("", result["check"]) and severity in ("", finding["severity"])
        ]

    def failed(self, *, severity: str = "error") -> set[str]:
        """Return the checks that have findings of this severity."""
        return {
            str(result["check"])
            for result in self.results
            if any(finding["severity"] == severity for finding in result["findings"])
        }

    def message(self, check: str) -> str:
        """Return the one thing that a check found."""
        (finding,) = self.findings(check)
        return str(finding["message"])

    def blind(self) -> dict[str, str]:
        """Return the checks that could not look, and why."""
        words = ("unknown", "timed-out", "crashed")
        return {str(one["check"]): str(one["reason"]) for one in self.results if one["outcome"] in words}

    def _of(self, check: str, target: str) -> list[Mapping[str, Any]]:
        found = [one for one in self.results if one["check"] == check and target in ("", one["target"])]
        assert found, f"there is no result of {check}"
        return found


def examined(
    cli: Kubedoctor, *arguments: str, fixture: str = "", name: str = "local", env: Mapping[str, str] | None = None
) -> Seen:
    """Run `kubedoctor check`; the recording becomes the fixture of that name when recordings are wished for."""
    recording = []
    if fixture and (directory := os.environ.get("KUBEDOCTOR_RECORDINGS")):
        recording = ["--record", str(Path(directory) / f"{fixture}.json.gz")]
    done = cli("check", *arguments, *recording, "-o", "json", env=env)
    assert done.status in (0, 1, 4), f"{done.status}\n{done.out}\n{done.err}"
    return Seen(done.status, done.json, name)


def inside(
    cli: Kubedoctor, *command: str, name: str = "local", env: Mapping[str, str] | None = None
) -> subprocess.Popen[str]:
    """Start a command in the sandbox of the cluster; it ends with the sandbox."""
    return cli.popen("enter", "--name", name, *command, env=env)


@contextlib.contextmanager
def holding(cli: Kubedoctor, port: int, address: str = "127.0.0.1", name: str = "local") -> Iterator[None]:
    """Have a process in the sandbox listen on a port."""
    server = f"s = socket.create_server(('{address}', {port}))"
    program = f"import signal, socket; {server}; print('listens', flush=True); signal.pause()"
    with inside(cli, "python3", "-c", program, name=name) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "listens\n"
        try:
            yield
        finally:
            process.terminate()
