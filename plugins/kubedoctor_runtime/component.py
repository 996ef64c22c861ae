"""What containerd is run with, and the images that are loaded into it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from kubedoctor import ClusterConfig, Component, File, Image, Kind, Probe, ProbeKind, Stop, host

NAME = "containerd"
SOCKET = "/run/containerd/containerd.sock"
CONFIG = "containerd.toml"
WRAPPER = "bin/runc-without-cgroups"

PAUSE = Image(name="registry.k8s.io/pause:3.10.2", binary="pause", path="/pause", user="65535:65535")
"""The container that holds a pod's namespaces; made of a binary, so that no registry is asked for it."""

_IMPORT = ("--address", SOCKET, "--namespace", "k8s.io", "images", "import")
CNI_BINARIES, CNI_CONFIGURATION = "/opt/cni/bin", "/etc/cni/net.d"


def containerd(config: ClusterConfig) -> Component:
    """Return containerd as *config* wants it. It does not need the API, so it starts beside etcd."""
    return Component(
        name=NAME,
        kind=Kind.NODE,
        binary=NAME,
        flags={"config": config.file(CONFIG), "log-level": "info"},
        files=(File(name=CONFIG, content=_configuration(config)), *_wrapper(config)),
        links={
            _tool(config, "containerd-shim-runc-v2"): "containerd-shim-runc-v2",
            _tool(config, "runc"): "runc",
        },
        directories=(config.data(NAME),),
        data=(config.data(NAME),),
        # What else writes below /run (iptables its lock, `ip netns` its mounts) must not write into the machine's.
        private=("/run/containerd", "/run/netns", "/run/nri", "/run/kubedoctor", "/opt/containerd"),
        ready=(Probe(kind=ProbeKind.UNIX, path=SOCKET),),
        stop=Stop(timeout=3.0),
    )


def image_loader(config: ClusterConfig) -> Component:
    """Return what loads the images that pods of the cluster's own need, once containerd answers."""
    archive = config.data("images.tar")
    return Component(
        name="images",
        kind=Kind.NODE,
        binary="ctr",
        arguments=_IMPORT,
        operands=(archive,),
        archive=archive,
        images=(PAUSE,),
        after=(NAME,),
        ends=True,
    )


def user_archives(config: ClusterConfig) -> list[Component]:
    """Return what loads each `--image-archive`; pods that need it are started again until it is there."""
    return [
        Component(
            name=f"image-archive-{number}" if number > 1 else "image-archive",
            kind=Kind.NODE,
            binary="ctr",
            arguments=_IMPORT,
            operands=(archive,),
            after=(NAME,),
            ends=True,
        )
        for number, archive in enumerate(config.image_archive, start=1)
    ]


def _tool(config: ClusterConfig, name: str) -> str:
    return config.data(f"bin/{name}")


def _configuration(config: ClusterConfig) -> str:
    """Return containerd's configuration in version 2, which 1.6 and 1.7 read and 2.x takes over into its own."""
    systemd = _driver(config) == "systemd"
    # Without CAP_SYS_RESOURCE no process can be given a lower score than our own, and every container would fail.
    restricted = config.in_user_namespace or not host.may("CAP_SYS_RESOURCE")
    runc = config.data(WRAPPER) if config.in_user_namespace else _tool(config, "runc")
    return f"""\
version = 2
root = {_quoted(config.data(NAME))}
state = "/run/containerd"

[grpc]
  address = "{SOCKET}"

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE.name}"
  restrict_oom_score_adj = {_quoted(restricted)}
  disable_apparmor = {_quoted(config.in_user_namespace)}
  stream_server_address = "127.0.0.1"

  [plugins."io.containerd.grpc.v1.cri".containerd]
    default_runtime_name = "runc"

    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      runtime_path = {_quoted(_tool(config, "containerd-shim-runc-v2"))}

      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        BinaryName = {_quoted(runc)}
        SystemdCgroup = {_quoted(systemd)}

  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{CNI_BINARIES}"
    conf_dir = "{CNI_CONFIGURATION}"

[plugins."io.containerd.internal.v1.opt"]
  path = "/opt/containerd"
"""


def _quoted(value: str | bool) -> str:
    """Return a value as TOML has it; its strings take the escapes of JSON's."""
    return json.dumps(value)


def _wrapper(config: ClusterConfig) -> tuple[File, ...]:
    """Return what stands before runc where cgroups cannot be written: it takes them out of the bundle.

    runc itself then does without. No limit of a container is enforced.
    """
    if not config.in_user_namespace:
        return ()
    text = Path(__file__).with_name("without_cgroups.py").read_text()
    text = text.replace('"RUNC"', _quoted(_tool(config, "runc")), 1)
    return (File(name=config.data(WRAPPER), content=f"#!{sys.executable} -IS\n{text}", mode=0o700),)


def _driver(config: ClusterConfig) -> str:
    """Return the cgroup driver: in a sandbox cgroupfs, for systemd is not in it, whatever the machine has."""
    if config.place_kind == "sandbox":
        return "cgroupfs"
    return config.cgroup_driver or ("systemd" if host.runs_systemd() else "cgroupfs")
