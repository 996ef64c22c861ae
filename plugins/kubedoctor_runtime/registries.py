"""Where containerd looks for images before it asks their registry: its `hosts.toml` files, one for each registry."""

from __future__ import annotations

import json
from hashlib import sha256

from kubedoctor import ClusterConfig, File

OF_THE_MACHINE = "/etc/containerd/certs.d"
"""Where an administrator keeps them, for a cluster without mirrors of its own."""


def directory(config: ClusterConfig) -> str:
    """Return the value of `config_path`: one directory, for containerd 2.4 does not read lists of them as it says."""
    return config.file(_directory(config)) if config.mirrors else OF_THE_MACHINE


def files(config: ClusterConfig) -> tuple[File, ...]:
    """Return the files for the mirrors of *config*."""
    names = dict.fromkeys(mirror.registry for mirror in config.mirrors)
    return tuple(
        File(
            name=f"{_directory(config)}/{'_default' if name == '*' else name}/hosts.toml", content=_hosts(config, name)
        )
        for name in names
    )


def _directory(config: ClusterConfig) -> str:
    """Return the name of the directory: another one for other mirrors, so that none of an earlier `up` is found."""
    mark = sha256("\n".join(map(repr, config.mirrors)).encode()).hexdigest()[:8]
    return f"registries-{mark}"


def _hosts(config: ClusterConfig, registry: str) -> str:
    mirrors = [mirror for mirror in config.mirrors if mirror.registry == registry]
    lines = []
    if registry.startswith("localhost"):
        # Without a mirror, this name leads nowhere inside: what is there must not be blamed for a mirror that fails.
        lines.append(f"server = {json.dumps(mirrors[0].url)}")
    for mirror in mirrors:
        lines += ["", f"[host.{json.dumps(mirror.url)}]", '  capabilities = ["pull", "resolve"]']
        lines += ["  override_path = true"] if mirror.path else []
    return "\n".join(lines).lstrip("\n") + "\n"
