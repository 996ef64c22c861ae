"""Plans against the real programs: nothing is started, they judge their command lines."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from support.planning import Binary, bundled, configuration, flag

from kubedoctor.cluster.binaries.probe import known_flags, rejects, version_of
from kubedoctor.cluster.documents import Plan
from kubedoctor.cluster.plan import components, make_plan
from kubedoctor.config import PlaceKind
from kubedoctor.errors import PlanError

pytestmark = pytest.mark.integration


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def plan(binaries: Mapping[str, Path], **wishes: Any) -> Plan:
    config = configuration(**wishes)
    wanted = components(config, bundled())
    chosen = {
        name: Binary(str(binaries[binary]), version_of(str(binaries[binary]), binary))
        for name, binary in wanted.binaries.items()
    }
    return make_plan(config, wanted, chosen, flags_of=known_flags, rejects=rejects)


@pytest.mark.parametrize(
    "wishes",
    [
        {},
        {"place_kind": PlaceKind.HOST, "api_port": 7443, "etcd_port": 12379},
        {"tracing": True, "unsafe_no_fsync": True, "log_spec": "a*=5", "etcd_log_level": "debug"},
        {
            "authorization_mode": "RBAC",
            "enable_admission_plugins": ("NamespaceLifecycle", "AlwaysPullImages"),
            "disable_admission_plugins": ("ServiceAccount",),
            "runtime_config": "api/all=true",
            "storage_media_type": "application/json",
            "cors_allowed_origins": "//localhost(:|$)",
            "node_port_range": "31000-31999",
            "allow_privileged": False,
            "service_account_lookup": False,
        },
        {"kube_controllers": "*,-nodeipam", "leader_elect": True, "claim_binder_sync_period": "30s"},
        {"feature_gates": {"AllBeta": "true", "PodSchedulingReadiness": "true"}, "emulated_version": "1.36"},
        {"json_logs": ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "etcd")},
    ],
)
def test_programs_take_what_is_planned(binaries: dict[str, Path], wishes: dict[str, Any]) -> None:
    made = plan(binaries, **wishes)
    for component in made.components:
        assert rejects(component.argv[0], component.argv[1:]) is None
    assert made.notes == ()


def test_flag_of_older_versions_is_left_out_with_a_note(binaries: dict[str, Path]) -> None:
    made = plan(binaries, cloud_provider="external")
    assert flag(made, "kube-apiserver", "cloud-provider") is None
    assert flag(made, "kube-controller-manager", "cloud-provider") == "external"
    assert [note for note in made.notes if "has no --cloud-provider: left out" in note]


def test_gates_are_judged_by_the_programs(binaries: dict[str, Path]) -> None:
    made = plan(binaries, feature_gates={"WatchList": "true", "SidecarContainers": "true"})
    assert flag(made, "kube-scheduler", "feature-gates") == "WatchList=true"
    assert len(made.notes) == 1
    with pytest.raises(PlanError, match="has no feature gate WatchLits") as refused:
        plan(binaries, feature_gates={"WatchLits": "true"})
    assert "WatchList" in refused.value.hint
    with pytest.raises(PlanError, match="locked to true"):
        plan(binaries, feature_gates={"PodSchedulingReadiness": "false"})


def test_users_mistakes_are_told_before_anything_starts(binaries: dict[str, Path]) -> None:
    with pytest.raises(PlanError, match="no flag --audit-log-pth"):
        plan(binaries, set={"kube-apiserver": {"audit-log-pth": "/x"}})
    with pytest.raises(PlanError, match="kube-scheduler refuses --kube-api-qps=many"):
        plan(binaries, set={"kube-scheduler": {"kube-api-qps": "many"}})
    with pytest.raises(PlanError, match="etcd refuses --heartbeat-interval=soon"):
        plan(binaries, set={"etcd": {"heartbeat-interval": "soon"}})
