"""What is found when versions run together that must not: with an etcd that is too old for the API server."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from support.clusters import commands
from support.command import Kubedoctor
from support.faults import examined
from support.guarded import sick
from support.packages import unpacked

from kubedoctor.cluster.binaries.probe import version_of
from kubedoctor.versions import Version

pytestmark = [pytest.mark.integration, pytest.mark.timeout(200)]


@pytest.fixture
def cli(tmp_path: Path, binaries: Mapping[str, Path]) -> Iterator[Kubedoctor]:
    with commands(tmp_path, binaries) as command:
        yield command


@pytest.fixture
def old_etcd() -> str:
    """An etcd before 3.5.24: named by OLD_ETCD, or the distribution's, such as Debian 12 has."""
    path = os.environ.get("OLD_ETCD") or str(unpacked("etcd-server") / "usr/bin/etcd")
    version = Version.parse(version_of(path, "etcd", remember=False))
    if version is None or version >= Version(3, 5, 24):
        pytest.skip("there is no old etcd here")
    return path


def test_an_etcd_that_is_too_old_is_found(cli: Kubedoctor, old_etcd: str) -> None:
    sick(cli, "etcd", f'exec {old_etcd} "$@"')  # what says that it is another version
    cli.ok("up", "--only", "etcd,kube-apiserver")
    seen = examined(cli, "ExternalEtcdVersion", fixture="binaries.version-skew")
    (finding,) = seen.findings("binaries.version-skew")
    assert finding["severity"] == "warning"
    assert "which Kubernetes does not support: kube-apiserver v1." in str(finding["message"])
    assert "asks for etcd v3.5.24 or newer" in str(finding["message"])
    assert finding["subject"] == "etcd"
    assert seen.failed() == set()
