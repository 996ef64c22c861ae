"""What the processes that stay in memory really import, as the interpreter itself tells."""

from __future__ import annotations

import re
import socket
import sys
from pathlib import Path

import pytest
from support.places import fake, kept, plan_of

from kubedoctor.cluster.paths import PlacePaths
from kubedoctor.cluster.ports import bind

PROFILED = re.compile(r"^import time: +\d+ \| +\d+ \| +(\S+)$", re.MULTILINE)


def test_keeper_supervisor_and_relay_import_the_standard_library_only(
    place: PlacePaths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    profiling = tmp_path / "python"
    profiling.write_text(f'#!/bin/sh\nexec {sys.executable} -X importtime "$@"\n')
    profiling.chmod(0o700)
    listener = bind("127.0.0.1", 0)
    address = listener.getsockname()
    entry = {"descriptor": listener.fileno(), "outside": address[1], "inside": 18001}
    monkeypatch.setattr(sys, "executable", str(profiling))  # what the keeper is started with
    with kept(place, plan_of(place, fake(place, "one", 18001)), listeners=(entry,)) as run:
        listener.close()
        run.until_event("ready")
        with socket.create_connection(address) as connection:  # an answer means that the relay is at work
            connection.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
            assert connection.recv(16)
        run.request("shutdown")
        run.until_event("stopped")
    log = (
        capfd.readouterr().err + place.keeper_log.read_text()
    )  # before it is given its place, the keeper has our stderr
    imported = {name.split(".")[0] for name in PROFILED.findall(log)}
    assert "kubedoctor" in imported
    # `org` is what the standard library's copy looks for to learn whether this is Jython.
    assert imported - {"kubedoctor", "org"} <= sys.stdlib_module_names
    ours = {name for name in PROFILED.findall(log) if name.startswith("kubedoctor.cluster.")}
    assert {"kubedoctor.cluster.keeper", "kubedoctor.cluster.supervisor", "kubedoctor.cluster.relay"} <= ours
