"""What containerd is run with, and the images that are loaded into it."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

from kubedoctor import (
    ClusterConfig,
    Component,
    Components,
    File,
    Image,
    Kind,
    KubedoctorError,
    Probe,
    ProbeKind,
    Stop,
    host,
)
from kubedoctor_runtime import registries

NAME = "containerd"
LOADER = "images"
SOCKET = "/run/containerd/containerd.sock"
CONFIG = "containerd.toml"
WRAPPER = "bin/runc-without-cgroups"

_LOCALLY = {"local": True}
"""For `ctr images import`: 80 MB streamed through containerd's transfer service cost the two of them 1.8 s of a
processor, written to its content store 0.6 s. containerd 1.6 knows no other way and no such flag."""

PAUSE = Image(name="registry.k8s.io/pause:3.10.2", binary="pause", path="/pause", user="65535:65535")
"""The container that holds a pod's namespaces; made of a binary, so that no registry is asked for it."""

CNI_BINARIES, CNI_CONFIGURATION = "/opt/cni/bin", "/etc/cni/net.d"


def components(config: ClusterConfig) -> list[Component]:
    """Return containerd and what loads images into it; on the host only the latter, for its own containerd."""
    if config.runtime is None:
        return [containerd(config), image_loader(config), *user_archives(config)]
    if config.runtime.is_containerd:
        return [image_loader(config), *user_archives(config)]
    if config.image_archive:
        raise KubedoctorError(
            f"{config.runtime.name} takes no image archives from others",
            hint="copy the image into its storage: skopeo copy oci-archive:FILE containers-storage:NAME",
        )
    return []


def containerd(config: ClusterConfig) -> Component:
    """Return containerd as *config* wants it. It does not need the API, so it starts beside etcd."""
    return Component(
        name=NAME,
        kind=Kind.NODE,
        binary=NAME,
        flags={"config": config.file(CONFIG), "log-level": "info"},
        env={name: config.pull_proxy for name in ("HTTP_PROXY", "HTTPS_PROXY") if config.pull_proxy},
        files=(File(name=CONFIG, content=_configuration(config)), *_wrapper(config), *registries.files(config)),
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
        name=LOADER,
        kind=Kind.NODE,
        binary="ctr",
        arguments=_import(config),
        flags=_LOCALLY,
        operands=(archive,),
        archive=archive,
        images=_pause_images(config),
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
            arguments=_import(config),
            flags=_LOCALLY,
            operands=(archive,),
            after=(NAME,),
            ends=True,
        )
        for number, archive in enumerate(config.image_archive, start=1)
    ]


def drop_idle_loader(components: Components) -> None:
    """Take out what loads images when there are none: the runtime of a host may have all of them."""
    if LOADER in components and not components[LOADER].images:
        del components[LOADER]


def _import(config: ClusterConfig) -> tuple[str, ...]:
    socket = config.runtime.socket if config.runtime else SOCKET
    return ("--address", socket, "--namespace", "k8s.io", "images", "import")


def _pause_images(config: ClusterConfig) -> tuple[Image, ...]:
    """Return the image of pods' sandboxes, by the name that the runtime asks for it; what it has is left as it is."""
    if config.runtime is None:
        return (PAUSE,)
    wanted = replace(PAUSE, name=config.runtime.pause_image or PAUSE.name)
    return () if wanted.name in config.runtime.images else (wanted,)


def _tool(config: ClusterConfig, name: str) -> str:
    return config.data(f"bin/{name}")


def _configuration(config: ClusterConfig) -> str:
    """Return containerd's configuration in version 2, which 1.6 and 1.7 read and 2.x takes over into its own."""
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
        SystemdCgroup = false

  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = {_quoted(config.cni_bin_dir or CNI_BINARIES)}
    conf_dir = {_quoted(config.cni_config_dir or CNI_CONFIGURATION)}

[plugins."io.containerd.grpc.v1.cri".registry]
  config_path = {_quoted(registries.directory(config))}

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
