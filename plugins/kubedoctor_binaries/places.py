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
_MARK = "hack/local-up-cluster.sh"  # what tells a checkout of Kubernetes from other directories


def architecture() -> str:
    """Return what Go and release files call this machine's architecture."""
    return _ARCHITECTURES.get(platform.machine(), platform.machine())


def found(name: str, config: ClusterConfig) -> Iterator[Found]:
    """Return where a binary of this name lies, in the order in which it is looked for."""
    if config.bin_dir:
        directory = Path(config.bin_dir).expanduser().absolute()
        yield from _existing(Source.BIN_DIR, directory / name, directory / "cni" / name)
    checkout = Path(config.checkout).expanduser().absolute() if config.checkout else checkout_above(Path.cwd())
    if checkout:
        output = newest_output(checkout)
        if output:
            yield from _existing(Source.CHECKOUT, output / name)
    if assets := os.environ.get("KUBEBUILDER_ASSETS"):
        yield from _existing(Source.KUBEBUILDER, Path(assets).expanduser().absolute() / name)
    if path := shutil.which(name):
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
