from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from kubedoctor.cluster.binaries.fitness import unfit
from kubedoctor.cluster.binaries.probe import known_flags, rejects, version_of
from kubedoctor.cluster.binaries.skew import check_skew
from kubedoctor.cluster.binaries.versions import Version

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1800)]  # the first run builds


def test_every_program_of_a_node_tells_a_version_and_can_serve(node_binaries: dict[str, Path]) -> None:
    versions = {name: version_of(str(path), name, remember=False) for name, path in node_binaries.items()}
    assert [name for name, version in versions.items() if not Version.parse(version)] == []
    assert [name for name, path in node_binaries.items() if unfit(str(path), name, remember=False)] == []
    assert versions["kubelet"] == versions["kube-proxy"] == versions["kube-apiserver"]
    assert versions["containerd"] == versions["containerd-shim-runc-v2"] == versions["ctr"]
    check_skew(versions)


def test_runc_can_filter_system_calls(node_binaries: dict[str, Path]) -> None:
    """`runc features` tells what it was really built with."""
    done = subprocess.run([node_binaries["runc"], "features"], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["linux"]["seccomp"]["enabled"] is True


def test_containerd_has_its_shim_beside_it(node_binaries: dict[str, Path]) -> None:
    assert node_binaries["containerd-shim-runc-v2"].parent == node_binaries["containerd"].parent


def test_plugins_of_cni_are_in_one_directory(cni_bin_dir: Path) -> None:
    assert {"loopback", "bridge", "ptp", "host-local", "portmap"} <= {path.name for path in cni_bin_dir.iterdir()}


def test_name_server_knows_kubernetes(node_binaries: dict[str, Path]) -> None:
    done = subprocess.run([node_binaries["coredns"], "-plugins"], capture_output=True, text=True, check=True)
    assert {"kubernetes", "forward", "loop", "reload", "ready"} <= set(done.stdout.replace("dns.", "").split())


def test_arguments_of_a_node_are_asked_about_without_starting_anything(node_binaries: dict[str, Path]) -> None:
    for name in ("kubelet", "kube-proxy", "containerd"):
        program = str(node_binaries[name])
        assert "config" in known_flags(program)
        assert rejects(program, ["--config=/no/such/file"]) is None
        assert "no-such" in (rejects(program, ["--no-such-flag=1"]) or "")


def test_kubeadm_is_of_the_same_release(node_binaries: dict[str, Path], kubeadm: Path) -> None:
    assert version_of(str(kubeadm), "kubeadm") == version_of(str(node_binaries["kubelet"]), "kubelet")


def test_defaults_are_kept_when_room_is_made(
    node_binaries: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBEDOCTOR_HOME", str(tmp_path))  # the clusters of the user have nothing to do with it
    done = subprocess.run(
        [sys.executable, "-m", "kubedoctor", "binaries", "prune", "--dry-run", "-o", "json"],
        capture_output=True,
        text=True,
        check=True,
    )
    doomed = {entry["path"] for entry in json.loads(done.stdout)["binaries"]}
    assert doomed.isdisjoint(map(str, node_binaries.values()))
