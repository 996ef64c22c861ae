"""Cluster DNS on the bare components: its objects applied as soon as their API is ready, asked until it answers.

usage: bare_dns.py WORKDIR PLAN    (inside their sandbox, while bare_bringup.py runs; PLAN holds the objects)
Prints the seconds since the first process was started. What applies and asks is what kubedoctor has for it, so that the
components alone make the difference.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from kubedoctor.cluster.applier import Applier  # noqa: E402
from kubedoctor.cluster.documents import Plan, PlannedManifest, PlannedProbe  # noqa: E402
from kubedoctor.cluster.probe import Question  # noqa: E402
from kubedoctor.jsonform import from_json  # noqa: E402

ADDRESS, PORT = "198.18.0.1", 6443
LAST_WRITTEN = "proxy.yaml"
"""The file that the yardstick writes last before it looks at the clock and starts etcd."""


def until(question: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not question():
        if time.monotonic() > deadline:
            raise SystemExit("the bare components did not come so far")
        time.sleep(0.02)


def main() -> None:
    work, plan = Path(sys.argv[1]), from_json(Plan, json.loads(Path(sys.argv[2]).read_text()))
    until((work / LAST_WRITTEN).exists)
    began = (work / LAST_WRITTEN).stat().st_mtime
    files = {"ca_file": str(work / "ca.crt"), "cert_file": str(work / "admin.crt"), "key_file": str(work / "admin.key")}
    api = PlannedProbe(kind="https", address=ADDRESS, port=PORT, path="/readyz", **files)
    ready = Question(api)
    until(lambda: ready.ask().ready)
    (dns,) = (manifest for manifest in plan.manifests if manifest.name == "coredns")
    applier = Applier(api, (PlannedManifest(name=dns.name, objects=dns.objects, paths=dns.paths),), lambda _: None)
    applier.start()
    answers = [Question(probe) for probe in dns.ready]
    until(lambda: all(question.ask().ready for question in answers))
    print(time.time() - began)


main()
