from __future__ import annotations

import json
from pathlib import Path

import pytest

from kubedoctor.cluster.binaries.usage import in_use
from kubedoctor.errors import KubedoctorError


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the plan of a cluster's place, still to be written."""
    monkeypatch.setenv("KUBEDOCTOR_HOME", str(tmp_path / "home"))
    place = tmp_path / "home/clusters/local/places/node-1"
    place.mkdir(parents=True)
    (tmp_path / "home/clusters/local/cluster.json").write_text("{}")
    return place / "plan.json"


def test_whatever_a_plan_names_is_in_use(plan: Path, cache: Path) -> None:
    config = f'bin_dir = "{cache}/bin/cni-plugins/v1.9.1"\nBinaryName = "{cache}/bin/runc/v1.5.2/runc"\n'
    component = {
        "binary": f"{cache}/bin/containerd/v2.4.2/containerd",
        "files": [{"path": "/x/config.toml", "content": config}],
        "env": {"PATH": f"/usr/bin:{cache}/bin/other/v1:{cache}x/bin/foreign/v1"},
    }
    plan.write_text(json.dumps({"kubernetes": "v1.37.2", "components": [component]}))
    assert in_use(running_only=False) == {
        ("kubectl", "v1.37.2"), ("containerd", "v2.4.2"), ("cni-plugins", "v1.9.1"), ("runc", "v1.5.2"),
        ("other", "v1"),
    }  # fmt: skip
    assert in_use(running_only=True) == set()


def test_place_that_never_had_a_plan_uses_nothing(plan: Path) -> None:
    assert in_use(running_only=False) == set()


@pytest.mark.parametrize("content", ["", "[]", "{}", "null", "\x00"])
def test_plan_that_cannot_be_read_is_an_error(plan: Path, content: str) -> None:
    plan.write_text(content)
    with pytest.raises(KubedoctorError, match="cannot be read, so it is not known which binaries are in use"):
        in_use(running_only=False)
