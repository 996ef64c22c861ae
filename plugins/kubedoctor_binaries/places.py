"""Places on this machine where binaries may be already."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Iterator
from pathlib import Path

from kubedoctor import ClusterConfig, Found, Source

_ARCHITECTURES = {
    "x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "armv6l": "arm", "i686": "386", "loongarch64": "loong64",
}  # fmt: skip
CNI_PLUGINS = {
    "loopback": "main", "bridge": "main", "ptp": "main", "host-local": "ipam", "portmap": "meta", "bandwidth": "meta",
    "firewall": "meta",
}  # fmt: skip
"""The plugins of the CNI project that a node needs or often has, and of what kind each is."""

_CNI_DIRECTORIES = (Path("/usr/lib/cni"), Path("/usr/libexec/cni"))
# Of distributions' packages. Not /opt/cni/bin, where clusters put theirs: a sandbox has another one there.

_SYSTEM_DIRECTORIES = "/usr/local/sbin:/usr/sbin:/sbin"  # where runc may be; the PATH of ordinary users lacks them
_MARK = "hack/local-up-cluster.sh"  # what tells a checkout of Kubernetes from other directories


def architecture() -> str:
    """Return what Go and release files call this machine's architecture."""
    return _ARCHITECTURES.get(platform.machine(), platform.machine())


def found(name: str, config: ClusterConfig) -> Iterator[Found]:
    """Return where a binary of this name lies, in the order in which it is looked for."""
    if config.bin_dir:
        directory = Path(config.bin_dir).expanduser().absolute()
        within = (directory / "cni", directory) if name in CNI_PLUGINS else (directory, directory / "cni")
        yield from _existing(Source.BIN_DIR, *(folder / name for folder in within))
    checkout = Path(config.checkout).expanduser().absolute() if config.checkout else checkout_above(Path.cwd())
    if checkout:
        output = newest_output(checkout)
        if output:
            yield from _existing(Source.CHECKOUT, output / name)
    if assets := os.environ.get("KUBEBUILDER_ASSETS"):
        yield from _existing(Source.KUBEBUILDER, Path(assets).expanduser().absolute() / name)
    if name in CNI_PLUGINS:  # never on PATH: what is called `bridge` there is another program
        yield from _existing(Source.PATH, *(folder / name for folder in _CNI_DIRECTORIES))
    elif path := shutil.which(name, path=f"{os.environ.get('PATH') or os.defpath}:{_SYSTEM_DIRECTORIES}"):
        yield Found(path=str(Path(path).absolute()), source=Source.PATH)


def _existing(source: Source, *paths: Path) -> Iterator[Found]:
    yield from (Found(path=str(path), source=source) for path in paths if os.path.lexists(path))


def checkout_above(directory: Path) -> Path | None:
    """Return the Kubernetes checkout that *directory* lies in, None when it lies in none."""
    return next((above for above in (directory, *directory.parents) if (above / _MARK).is_file()), None)


def newest_output(checkout: Path) -> Path | None:
    """Return the folder of *checkout* that was built into last, going by its kube-apiserver, or by any of its files.

    `make` fills _output/local and links _output/bin to it, a build in a container fills _output/dockerized.
    """
    system = f"linux/{architecture()}"
    folders = [checkout / "_output" / f for f in ("bin", f"local/bin/{system}", f"dockerized/bin/{system}")]
    built = [(_built_at(folder), -index, folder) for index, folder in enumerate(folders) if folder.is_dir()]
    return max(built)[2] if built else None


def _built_at(folder: Path) -> tuple[bool, float]:
    try:
        return True, (folder / "kube-apiserver").stat().st_mtime
    except OSError:
        return False, max((file.lstat().st_mtime for file in folder.iterdir()), default=0.0)
