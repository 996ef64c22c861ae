"""What the processes that stay in memory really import, as the interpreter itself tells."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from support.places import fake, kept, plan_of

from kubedoctor.cluster.documents import Publication
from kubedoctor.cluster.paths import PlacePaths

PROFILED = re.compile(r"^import time: +\d+ \| +\d+ \| +(\S+)$", re.MULTILINE)


def test_keeper_supervisor_and_relay_import_the_standard_library_only(
    place: PlacePaths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    profiling = tmp_path / "python"
    profiling.write_text(f'#!/bin/sh\nexec {sys.executable} -X importtime "$@"\n')
    profiling.chmod(0o700)
    plan = plan_of(place, fake(place, "one", 18001), publish=(Publication(inside=18001, outside=0),))
    monkeypatch.setattr(sys, "executable", str(profiling))  # what the keeper is started with
    with kept(place, plan) as run:
        run.until_event("ready")
        run.request("shutdown")
        run.until_event("stopped")
    log = place.keeper_log.read_text()
    imported = {name.split(".")[0] for name in PROFILED.findall(log)}
    assert "kubedoctor" in imported
    # `org` is what the standard library's copy looks for to learn whether this is Jython.
    assert imported - {"kubedoctor", "org"} <= sys.stdlib_module_names
    ours = {name for name in PROFILED.findall(log) if name.startswith("kubedoctor.cluster.")}
    assert {"kubedoctor.cluster.keeper", "kubedoctor.cluster.supervisor", "kubedoctor.cluster.relay"} <= ours
