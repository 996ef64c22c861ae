"""Recipes for what a node runs beside Kubernetes' own programs, with the versions taken by default."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from kubedoctor import Candidate, ClusterConfig, Download, GoBuild, SourceBuild
from kubedoctor_binaries.places import CNI_PLUGINS, architecture

CONTAINERD_VERSION = "v2.4.2"
RUNC_VERSION = "v1.5.2"
CNI_VERSION = "v1.9.1"
COREDNS_VERSION = "v1.15.0"
PAUSE_VERSION = "v3.10.2"
"""The tag of the pause image that Kubernetes 1.37 asks for, as ours stands for that one."""

CONTAINERD = ("containerd", "containerd-shim-runc-v2", "ctr")
"""Kept in one directory: containerd looks for its shim on PATH, and then beside itself."""

_RUNC_ARCHITECTURES = {"arm": "armhf"}  # what its release files call those that they call otherwise


def recipes(name: str, config: ClusterConfig) -> Iterator[Candidate]:
    """Return how *name* is fetched and built; nothing for names that are not known here."""
    github = config.github_url.rstrip("/")
    if name in CONTAINERD:
        yield from _containerd(name, github)
    elif name in CNI_PLUGINS:
        yield from _cni(name, github)
    elif name == "runc":
        yield from _runc(github)
    elif name == "coredns":
        yield from _coredns(github)
    elif name == "pause":
        yield from _pause()


def _containerd(name: str, github: str) -> Iterator[Candidate]:
    releases = f"{github}/containerd/containerd/releases/download/{{version}}"
    # The static one: the other asks for the C library of the machine it was built on.
    archive = f"{releases}/containerd-static-{{number}}-linux-{architecture()}.tar.gz"
    yield Download(
        url=archive,
        checksum_url=f"{archive}.sha256sum",
        member=f"bin/{name}",
        version=CONTAINERD_VERSION,
        any_version=True,
        folder="containerd",
    )
    module = "github.com/containerd/containerd/v2"
    yield GoBuild(
        module=module,
        version=CONTAINERD_VERSION,
        packages={program: f"{module}/cmd/{program}" for program in CONTAINERD},
        stamp=(f"{module}/version.Version={{version}}",),
        any_version=True,
        folder="containerd",
    )


def _cni(name: str, github: str) -> Iterator[Candidate]:
    releases = f"{github}/containernetworking/plugins/releases/download/{{version}}"
    archive = f"{releases}/cni-plugins-linux-{architecture()}-{{version}}.tgz"
    yield Download(
        url=archive,
        checksum_url=f"{archive}.sha256",
        member=name,
        version=CNI_VERSION,
        any_version=True,
        folder="cni-plugins",
    )
    module = "github.com/containernetworking/plugins"
    yield GoBuild(
        module=module,
        version=CNI_VERSION,
        packages={plugin: f"{module}/plugins/{kind}/{plugin}" for plugin, kind in CNI_PLUGINS.items()},
        stamp=(f"{module}/pkg/utils/buildversion.BuildVersion={{version}}",),
        any_version=True,
        folder="cni-plugins",
    )


def _runc(github: str) -> Iterator[Candidate]:
    releases = f"{github}/opencontainers/runc/releases/download/{{version}}"
    yield Download(
        url=f"{releases}/runc.{_RUNC_ARCHITECTURES.get(architecture(), architecture())}",
        checksum_url=f"{releases}/runc.sha256sum",
        version=RUNC_VERSION,
        any_version=True,
    )
    module = "github.com/opencontainers/runc"
    yield GoBuild(
        module=module,
        version=RUNC_VERSION,
        packages={"runc": module},
        cgo=True,
        tags=("seccomp",),  # without it every pod that asks for a profile fails to start
        libraries=("libseccomp",),
        any_version=True,
    )


def _coredns(github: str) -> Iterator[Candidate]:
    releases = f"{github}/coredns/coredns/releases/download/{{version}}"
    archive = f"{releases}/coredns_{{number}}_linux_{architecture()}.tgz"
    yield Download(
        url=archive,
        checksum_url=f"{archive}.sha256",
        member="coredns",
        version=COREDNS_VERSION,
        any_version=True,
    )
    module = "github.com/coredns/coredns"
    yield GoBuild(module=module, version=COREDNS_VERSION, packages={"coredns": module}, any_version=True)


def _pause() -> Iterator[Candidate]:
    for file in ("pause.c", "pause.go"):  # in C it takes a tenth of the memory
        source = Path(__file__).with_name(file).read_text()
        yield SourceBuild(file=file, source=source, version=PAUSE_VERSION)
