from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from kubedoctor.cluster.binaries.probe import known_flags, rejects, version_of
from kubedoctor.cluster.binaries.skew import check_skew

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1800)]  # the first run builds


def test_binaries_tell_the_versions_stamped_into_them(binaries: dict[str, Path]) -> None:
    versions = {name: version_of(str(path), name, remember=False) for name, path in binaries.items()}
    server = versions["kube-apiserver"]
    assert server.startswith("v1.")
    assert {versions[name] for name in binaries if name != "etcd"} == {server}
    check_skew(versions)
    told = subprocess.run(
        [binaries["kubectl"], "version", "--client", "-o", "json"], capture_output=True, text=True, check=True
    )
    assert f'"gitVersion": "{server}"' in told.stdout
    assert f'"minor": "{server.split(".")[1]}"' in told.stdout


def test_flags_are_read_from_the_help_of_each(binaries: dict[str, Path]) -> None:
    assert {"etcd-servers", "v", "feature-gates", "kubelet-preferred-address-types"} <= known_flags(
        str(binaries["kube-apiserver"])
    )
    assert {"kube-api-qps", "controllers", "leader-elect"} <= known_flags(str(binaries["kube-controller-manager"]))
    assert {"kube-api-burst", "config", "profiling"} <= known_flags(str(binaries["kube-scheduler"]))
    assert {"name", "data-dir", "heartbeat-interval", "unsafe-no-fsync", "listen-metrics-urls"} <= known_flags(
        str(binaries["etcd"])
    )
    assert not any("no-such-flag" in known_flags(str(path)) for path in binaries.values())


def test_flags_that_help_hides_are_taken(binaries: dict[str, Path]) -> None:
    server = str(binaries["kube-apiserver"])
    assert "kubelet-port" not in known_flags(server)
    assert rejects(server, ["--kubelet-port=10250", "--etcd-servers=http://127.0.0.1:1"]) is None


@pytest.mark.parametrize(
    ("name", "argument", "told"),
    [
        ("kube-apiserver", "--bogus=1", "unknown flag: --bogus"),
        ("kube-scheduler", "--v=loud", "invalid argument"),
        ("kube-controller-manager", "--feature-gates=NoSuchGate=true", "unrecognized feature gate: NoSuchGate"),
        ("etcd", "--bogus=1", "flag provided but not defined: -bogus"),
    ],
)
def test_refused_arguments_are_told(binaries: dict[str, Path], name: str, argument: str, told: str) -> None:
    assert told in (rejects(str(binaries[name]), [argument]) or "")
    assert rejects(str(binaries[name]), []) is None
