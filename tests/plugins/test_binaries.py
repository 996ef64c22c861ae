from __future__ import annotations

import os
import platform
from pathlib import Path

import kubedoctor_binaries
import pytest
from kubedoctor_binaries import node, places, recipes

from kubedoctor.cluster.binaries.skew import check_skew
from kubedoctor.cluster.binaries.versions import Version, suits
from kubedoctor.components import Candidate, Download, Found, GoBuild, Source, SourceBuild
from kubedoctor.config import ClusterConfig


@pytest.fixture(autouse=True)
def bare_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand in an empty directory with nothing on PATH, on the most common machine."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(places, "_SYSTEM_DIRECTORIES", str(tmp_path / "sbin"))
    monkeypatch.setattr(places, "_CNI_DIRECTORIES", (tmp_path / "usr/lib/cni",))


def candidates(name: str, **wishes: object) -> list[Candidate]:
    return list(kubedoctor_binaries.kubedoctor_binaries(name, ClusterConfig(**wishes)))  # type: ignore[arg-type]


def found(name: str, **wishes: object) -> list[tuple[Source, str]]:
    return [(c.source, c.path) for c in candidates(name, **wishes) if isinstance(c, Found)]


def make(path: Path, *, age: int = 0) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    os.utime(path, (1_000_000 - age, 1_000_000 - age))
    return str(path)


def test_directory_of_the_user_holds_binaries_and_cni_plugins(tmp_path: Path) -> None:
    server, bridge = make(tmp_path / "dir/kube-apiserver"), make(tmp_path / "dir/cni/bridge")
    assert found("kube-apiserver", bin_dir=str(tmp_path / "dir")) == [(Source.BIN_DIR, server)]
    assert found("bridge", bin_dir=str(tmp_path / "dir")) == [(Source.BIN_DIR, bridge)]
    assert found("etcd", bin_dir=str(tmp_path / "dir")) == []


def test_plugins_of_cni_are_not_mistaken_for_programs_of_their_name(tmp_path: Path) -> None:
    """`bridge` is also a program of iproute2, in a directory where a user may have all of their binaries."""
    plugin, _, _ = make(tmp_path / "dir/cni/bridge"), make(tmp_path / "dir/bridge"), make(tmp_path / "path/bridge")
    packaged = make(tmp_path / "usr/lib/cni/bridge")
    assert found("bridge", bin_dir=str(tmp_path / "dir"))[0] == (Source.BIN_DIR, plugin)
    assert found("bridge") == [(Source.PATH, packaged)]


def test_runc_of_the_system_is_found_by_ordinary_users_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runc = make(tmp_path / "sbin/runc")
    assert found("runc") == [(Source.PATH, runc)]
    monkeypatch.setenv("PATH", "")
    make(tmp_path / "here/runc")
    assert found("runc") == [(Source.PATH, runc)]


def test_broken_link_in_the_users_directory_is_offered_to_be_complained_about(tmp_path: Path) -> None:
    (tmp_path / "dir").mkdir()
    (tmp_path / "dir/etcd").symlink_to("nowhere")
    assert found("etcd", bin_dir=str(tmp_path / "dir")) == [(Source.BIN_DIR, str(tmp_path / "dir/etcd"))]


def test_assets_and_path_are_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assets, path = make(tmp_path / "assets/etcd"), make(tmp_path / "path/etcd")
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(tmp_path / "assets"))
    assert found("etcd") == [(Source.KUBEBUILDER, assets), (Source.PATH, path)]


def checkout(tmp_path: Path) -> Path:
    make(tmp_path / "kubernetes/hack/local-up-cluster.sh")
    return tmp_path / "kubernetes"


def test_checkout_we_stand_in_is_found_from_below(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = make(checkout(tmp_path) / "_output/bin/kube-apiserver")
    below = tmp_path / "kubernetes/pkg/scheduler"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    assert found("kube-apiserver") == [(Source.CHECKOUT, server)]


def test_checkout_that_is_named_comes_before_the_one_we_stand_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(checkout(tmp_path) / "_output/bin/kube-apiserver")
    monkeypatch.chdir(tmp_path / "kubernetes")
    other = make(tmp_path / "other/_output/bin/kube-apiserver")
    assert found("kube-apiserver", checkout=str(tmp_path / "other")) == [(Source.CHECKOUT, other)]


@pytest.mark.parametrize("newest", ["bin", "local/bin/linux/amd64", "dockerized/bin/linux/amd64"])
def test_newest_output_of_a_checkout_is_taken(tmp_path: Path, newest: str) -> None:
    top = checkout(tmp_path)
    for folder in ("bin", "local/bin/linux/amd64", "dockerized/bin/linux/amd64"):
        make(top / "_output" / folder / "kube-apiserver", age=0 if folder == newest else 60)
        make(top / "_output" / folder / "kubectl")
    assert found("kubectl", checkout=str(top)) == [(Source.CHECKOUT, str(top / "_output" / newest / "kubectl"))]


def test_output_without_an_apiserver_comes_last(tmp_path: Path) -> None:
    top = checkout(tmp_path)
    make(top / "_output/bin/kubectl")
    make(top / "_output/dockerized/bin/linux/amd64/kube-apiserver", age=9999)
    assert places.newest_output(top) == top / "_output/dockerized/bin/linux/amd64"


def test_checkout_that_was_never_built_offers_nothing(tmp_path: Path) -> None:
    assert found("kube-apiserver", checkout=str(checkout(tmp_path))) == []


def test_kubernetes_is_downloaded_from_where_the_user_says() -> None:
    (download,) = [
        c for c in candidates("kube-scheduler", download_url="http://mirror/k8s/") if isinstance(c, Download)
    ]
    assert download.url == "http://mirror/k8s/{version}/bin/linux/amd64/kube-scheduler"
    assert download.checksum_url == download.url + ".sha256"
    assert download.newest_url == "http://mirror/k8s/stable{minor}.txt"


def test_etcd_is_a_member_of_its_release(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    download = next(c for c in candidates("etcdctl", github_url="http://mirror") if isinstance(c, Download))
    base = "http://mirror/etcd-io/etcd/releases/download/{version}"
    assert download.url == f"{base}/etcd-{{version}}-linux-arm64.tar.gz"
    assert (download.checksum_url, download.member) == (f"{base}/SHA256SUMS", "etcd-{version}-linux-arm64/etcdctl")


def test_kubernetes_is_built_from_one_module_in_one_go() -> None:
    builds = [c for name in ("kubectl", "kube-apiserver") for c in candidates(name) if isinstance(c, GoBuild)]
    assert builds[0] == builds[1]
    assert builds[0].staging
    assert builds[0].packages["kubectl"] == "k8s.io/kubernetes/cmd/kubectl"


def test_every_name_of_ours_can_be_fetched_and_built() -> None:
    for name in (
        "kube-apiserver",
        "kube-controller-manager",
        "kube-scheduler",
        "kubelet",
        "kube-proxy",
        "kubectl",
        "kubeadm",
        "etcd",
        "runc",
        "coredns",
        *node.CONTAINERD,
        *places.CNI_PLUGINS,
    ):
        assert {type(c) for c in candidates(name)} == {Download, GoBuild}, name


@pytest.mark.parametrize(
    ("name", "url", "checksum", "member"),
    [
        ("ctr", "containerd/containerd/releases/download/{version}/containerd-static-{number}-linux-amd64.tar.gz",
         ".sha256sum", "bin/ctr"),
        ("ptp", "containernetworking/plugins/releases/download/{version}/cni-plugins-linux-amd64-{version}.tgz",
         ".sha256", "ptp"),
        ("coredns", "coredns/coredns/releases/download/{version}/coredns_{number}_linux_amd64.tgz",
         ".sha256", "coredns"),
    ],
)  # fmt: skip
def test_programs_of_a_node_are_members_of_their_releases(name: str, url: str, checksum: str, member: str) -> None:
    download = next(c for c in candidates(name, github_url="http://mirror/") if isinstance(c, Download))
    assert download.url == f"http://mirror/{url}"
    assert download.checksum_url == download.url + checksum
    assert download.member == member


@pytest.mark.parametrize(("machine", "file"), [("x86_64", "amd64"), ("aarch64", "arm64"), ("armv7l", "armhf")])
def test_runc_is_a_release_file_by_itself(monkeypatch: pytest.MonkeyPatch, machine: str, file: str) -> None:
    monkeypatch.setattr(platform, "machine", lambda: machine)
    download = next(c for c in candidates("runc", github_url="http://mirror") if isinstance(c, Download))
    base = "http://mirror/opencontainers/runc/releases/download/{version}"
    assert (download.url, download.checksum_url) == (f"{base}/runc.{file}", f"{base}/runc.sha256sum")
    assert download.member == ""


def test_runc_is_built_with_seccomp() -> None:
    (build,) = [c for c in candidates("runc") if isinstance(c, GoBuild)]
    assert (build.cgo, build.tags, build.libraries) == (True, ("seccomp",), ("libseccomp",))


@pytest.mark.parametrize("names", [node.CONTAINERD, tuple(places.CNI_PLUGINS)])
def test_what_belongs_together_is_kept_together_and_built_in_one_go(names: tuple[str, ...]) -> None:
    recipes_of = [c for name in names for c in candidates(name) if isinstance(c, (Download, GoBuild))]
    assert len({recipe.folder for recipe in recipes_of}) == 1
    assert recipes_of[0].folder
    builds = [recipe for recipe in recipes_of if isinstance(recipe, GoBuild)]
    assert all(build == builds[0] for build in builds)
    assert set(builds[0].packages) == set(names)


def test_pause_is_compiled_from_c_or_else_from_go() -> None:
    sources = [c for c in candidates("pause") if isinstance(c, SourceBuild)]
    assert [source.file for source in sources] == ["pause.c", "pause.go"]
    assert all("int main" in s.source or "func main" in s.source for s in sources)


def test_names_of_others_get_no_recipe() -> None:
    assert candidates("acme-controller") == []


@pytest.mark.parametrize("minor", range(20, 45))
def test_every_kubernetes_has_one_etcd_that_it_may_run_with(minor: int) -> None:
    server = Version(1, minor)
    (etcd,) = [version for limits, version in recipes.ETCD_VERSIONS if suits(server, limits)]
    check_skew({"kube-apiserver": str(server), "etcd": etcd})
