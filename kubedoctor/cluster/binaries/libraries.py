"""The C libraries that a build with cgo needs: those installed, else development packages, unpacked for the build.

Unpacking one needs no right at all and changes nothing on the machine; apt verifies what it fetches.
"""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from kubedoctor.cluster.binaries import store
from kubedoctor.cluster.binaries.command import run
from kubedoctor.components import GoBuild
from kubedoctor.errors import KubedoctorError

Tell = Callable[[str], None]


def environment(recipe: GoBuild, directory: Path, tell: Tell) -> dict[str, str]:
    """Return what the environment of the build needs to find the libraries of *recipe*; files go below *directory*.

    Raise KubedoctorError when there is no compiler, no pkg-config, or a library cannot be had.
    """
    compiler = (shlex.split(os.environ.get("CC", "")) or ["gcc"])[0]
    for program in (compiler, *(("pkg-config",) if recipe.libraries else ())):
        if not shutil.which(program):
            raise _lacking(recipe, f"`{program}`")
    unpacked = directory / "libraries"
    with store.clear_errors():
        unpacked.mkdir()
    found: dict[str, str] = {}
    for library in recipe.libraries:
        if not _is_known(library, unpacked, found):
            _unpack(recipe, library, unpacked, tell)
            found = _settings(unpacked)
            if not _is_known(library, unpacked, found):
                raise _lacking(recipe, f"the C library {library}")
    return found


def _is_known(library: str, directory: Path, settings: Mapping[str, str]) -> bool:
    status, _ = run(["pkg-config", "--exists", library], directory, {**os.environ, **settings}, lambda _: None)
    return status == 0


def _unpack(recipe: GoBuild, library: str, directory: Path, tell: Tell) -> None:
    """Fetch and unpack the development package of *library*, as Debian and its kin call it."""
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        raise _lacking(recipe, f"the C library {library}")
    package = f"{library}-dev"
    tell(f"fetching {package} with apt-get, to be unpacked for this build only")
    complaints: list[str] = []
    env = {**os.environ, "LC_ALL": "C"}
    status, _ = run(["apt-get", "download", package], directory, env, complaints.append)
    for archive in directory.glob("*.deb"):
        if status == 0:
            status, _ = run(["dpkg-deb", "--extract", str(archive), str(directory)], directory, env, complaints.append)
    if status:
        told = next((f": {line}" for line in complaints if line.startswith(("E:", "dpkg-deb: error"))), "")
        raise _lacking(recipe, f"the C library {library}", f"; `apt-get download {package}` failed{told}")
    for link in directory.rglob("*.so*"):
        link.unlink()  # they lead to the package with the shared library: what was unpacked is linked statically


def _settings(directory: Path) -> dict[str, str]:
    """Return the variables with which pkg-config answers for what lies below *directory*."""
    folders = sorted({str(found.parent) for found in directory.rglob("*.pc")})
    return {
        "PKG_CONFIG_PATH": os.pathsep.join([*folders, *filter(None, [os.environ.get("PKG_CONFIG_PATH")])]),
        "PKG_CONFIG_SYSROOT_DIR": str(directory),
        # Paths of the system are left out of its answers, and so would be ours, which only begin elsewhere.
        "PKG_CONFIG_ALLOW_SYSTEM_CFLAGS": "1",
        "PKG_CONFIG_ALLOW_SYSTEM_LIBS": "1",
    }


def _lacking(recipe: GoBuild, what: str, why: str = "") -> KubedoctorError:
    programs = ", ".join(recipe.packages)
    needed = ["gcc", "pkg-config", *(f"{library}-dev" for library in recipe.libraries)]
    return KubedoctorError(
        f"building {programs} needs {what}, which is not installed{why}",
        hint=f"install {', '.join(needed)} (on Fedora and SUSE …-devel), or {programs} itself from your distribution\n"
        f"or give one with --binary {next(iter(recipe.packages))}=PATH or --bin-dir",
    )
