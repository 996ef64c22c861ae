"""An ordinary user of this machine: what they can reach, and a command as them."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from support.command import Done, Kubedoctor

import kubedoctor

NEEDED = ("kubedoctor",)
"""Distributions that are copied, with all they require."""


def interpreter() -> str:
    """Return a Python of this minor version that everybody may run, "" when there is none."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for candidate in (Path(sys.executable).resolve(), Path("/usr/bin", version), Path("/usr/local/bin", version)):
        if candidate.exists() and _is_reachable(candidate.resolve()):
            return str(candidate)
    return ""


def _is_reachable(path: Path) -> bool:
    """Return whether everybody may execute *path*, and pass all directories above."""
    return all(part.stat().st_mode & stat.S_IXOTH for part in (path, *path.parents))


def install(directory: Path) -> Path:
    """Copy the program, its plugins and what they need to a new directory that everybody can read; return it.

    Bytecode goes along, with the times that tell of which text it is: a command takes a second longer without.
    """
    root = Path(kubedoctor.__file__).resolve().parents[1]
    directory.mkdir()
    ours = [package for package in (root / "kubedoctor", *(root / "plugins").iterdir()) if package.is_dir()]
    for package in ours:
        shutil.copytree(package, directory / package.name)
    for distribution in _with_requirements(NEEDED):
        _copy(distribution, directory)
    compiling = [interpreter(), "-m", "compileall", "-q", *(str(directory / package.name) for package in ours)]
    subprocess.run(compiling, check=True)  # what has changed since, or was never imported
    _open_to_all(directory)
    return directory


def _with_requirements(names: Iterable[str]) -> list[metadata.Distribution]:
    """Return the installed distributions *names* and, without extras that were not asked for, what they require."""
    found: dict[str, metadata.Distribution] = {}
    queue = list(names)
    while queue:
        name = queue.pop()
        if name in found:
            continue
        try:
            found[name] = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            continue  # a requirement of other machines or versions of Python
        queue += [_name(text) for text in found[name].requires or () if "extra ==" not in text]
    return list(found.values())


def _name(requirement: str) -> str:
    for position, character in enumerate(requirement):
        if not (character.isalnum() or character in "-_."):
            return requirement[:position]
    return requirement


def _copy(distribution: metadata.Distribution, directory: Path) -> None:
    for file in distribution.files or ():
        if ".." in file.parts or file.suffix == ".pth" or file.name.startswith("__editable__"):
            continue
        source, target = Path(str(distribution.locate_file(file))), directory / file
        if source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)


def _open_to_all(directory: Path) -> None:
    for path in (directory, *directory.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)


def let_pass(directory: Path) -> None:
    """Let everybody pass to a directory that pytest made below the temporary one for its user alone."""
    for path in (directory, *directory.parents):
        if path == Path(tempfile.gettempdir()):
            return
        path.chmod(path.stat().st_mode | 0o011)


def public_binaries(directory: Path, binaries: Mapping[str, Path]) -> Path:
    """Return a new directory with *binaries*, linked hard or copied, that everybody can run."""
    directory.mkdir(mode=0o755)
    directory.chmod(0o755)
    for name, path in binaries.items():
        source, target = path.resolve(), directory / name
        if _is_reachable(source):
            target.symlink_to(source)
            continue
        if source.stat().st_mode & 0o555 == 0o555:
            with contextlib.suppress(OSError):  # another file system
                target.hardlink_to(source)
                continue
        shutil.copyfile(source, target)
        target.chmod(0o755)
    return directory


@dataclass(frozen=True)
class Person:
    """Who runs commands: a user and a group without any other group."""

    uid: int
    gid: int

    def command(self, directory: Path, program: Path, bin_dir: Path, prefix: tuple[str, ...] = ()) -> PersonsKubedoctor:
        """Return `kubedoctor` of this user, who gets a home directory below *directory*."""
        own = directory / f"home-{self.uid}"
        own.mkdir(mode=0o755)
        os.chown(own, self.uid, self.gid)
        env = {
            "HOME": str(own),
            "PYTHONPATH": str(program),
            "PYTHONDONTWRITEBYTECODE": "1",
            "XDG_CACHE_HOME": str(own / ".cache"),
            "PATH": "/usr/local/bin:/usr/bin:/bin",
        }
        identity = ("setpriv", f"--reuid={self.uid}", f"--regid={self.gid}", "--clear-groups")
        prefix = (*prefix, *identity, interpreter())
        return PersonsKubedoctor(home=own / "it's my state", bin_dir=bin_dir, prefix=prefix, env=env, cwd=own)


@dataclass(frozen=True)
class PersonsKubedoctor(Kubedoctor):
    """`kubedoctor` run by another user."""

    def plain(self, *argv: str) -> Done:
        """Run another program as the same user."""
        done = subprocess.run(
            [*self.prefix[:-1], *argv],
            env=self.environment(),
            cwd=self.cwd,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return Done(done.returncode, done.stdout, done.stderr)
