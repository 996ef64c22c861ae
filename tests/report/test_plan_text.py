from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.planning import Binary, binaries_for, bundled, configuration, knows_everything, takes_everything

from kubedoctor.cluster.plan import components, make_plan
from kubedoctor.config import PlaceKind
from kubedoctor.report.plan_text import plan_text

GOLDEN = Path(__file__).parent / "golden"


def text(*, layers: dict[str, str] | None = None, pending: str = "", **wishes: Any) -> str:
    config = configuration(**wishes)
    wanted = components(config, bundled(), layers=layers)
    binaries = binaries_for(wanted)
    if pending:
        binaries["etcd"] = Binary("", "v3.7.3", "build", pending)
    made = make_plan(config, wanted, binaries, flags_of=knows_everything, rejects=takes_everything)
    return plan_text(made, binaries)


CONFIGURATIONS: dict[str, dict[str, Any]] = {
    "default": {},
    "host": {"place_kind": PlaceKind.HOST, "api_port": 7443},
    "named": {"name": "other", "pending": "would build go.etcd.io/etcd/server/v3 v3.7.3"},
    "wishes": {
        "log_level": 4,
        "feature_gates": {"AllBeta": "true"},
        "set": {"kube-apiserver": {"event-ttl": "2h"}},
        "etcd_port": 12379,
        "publish": ("8080:30080", "9000"),
        "reach": ("hook=9443",),
        "without": ("kube-scheduler",),
        "env": {"etcd": {"GODEBUG": "x=1"}},
        "layers": {
            "log_level": "environment LOG_LEVEL",
            "feature_gates.AllBeta": "kubedoctor.toml",
            "set.kube-apiserver.event-ttl": "--set kube-apiserver.event-ttl",
        },
    },
}


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_plan_reads_as_agreed(name: str) -> None:
    assert text(**CONFIGURATIONS[name]) == (GOLDEN / f"plan-{name}.txt").read_text()


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_plan_fits_80_columns(name: str) -> None:
    assert [line for line in text(**CONFIGURATIONS[name]).splitlines() if len(line) > 80] == []


def test_what_could_steer_the_terminal_is_made_visible() -> None:
    assert "\x1b" not in text(layers={"log_level": "environment \x1b[2J"}, log_level=3)
