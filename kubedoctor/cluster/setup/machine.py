"""The machine as `setup` looks at it, below any root directory: programs, distribution, kernel."""

from __future__ import annotations

import os
import shlex
from dataclasses import field
from functools import cached_property
from pathlib import Path

from kubedoctor.records import dataclass

_SYSTEM_PATH = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
_MUCH = 32 << 20
"""Bytes of modules.dep: a distribution's has one."""


@dataclass(frozen=True)
class Machine:
    """A machine, seen from its root directory; what cannot be read counts as not there."""

    root: Path = Path("/")
    path: tuple[str, ...] = field(default_factory=lambda: tuple(os.environ.get("PATH", "").split(os.pathsep)))
    kernel: str = field(default_factory=lambda: os.uname().release)

    @property
    def is_ours(self) -> bool:
        """Whether it is the one this runs on, so that things can be tried."""
        return self.root == Path("/")

    def program(self, name: str) -> str:
        """Return where a program is, "" when nowhere; root's directories count though they are not on every PATH."""
        for directory in dict.fromkeys((*filter(None, self.path), *_SYSTEM_PATH)):
            found = self.at(directory) / name
            if found.is_file() and os.access(found, os.X_OK):
                return str(Path(directory) / name)
        return ""

    @cached_property
    def release(self) -> dict[str, str]:
        """os-release(5); {} when there is none."""
        for name in ("/etc/os-release", "/usr/lib/os-release"):
            if text := self.read(name):
                return parse_release(text)
        return {}

    @cached_property
    def distributions(self) -> tuple[str, ...]:
        """The distribution and those it is made after, nearest first."""
        return tuple(f"{self.release.get('ID', '')} {self.release.get('ID_LIKE', '')}".split())

    def setting(self, key: str) -> str:
        """Return a kernel setting such as `kernel.panic`, "" where there is none."""
        return self.read(f"/proc/sys/{key.replace('.', '/')}").strip()

    def filesystems(self) -> frozenset[str]:
        """Return the file systems the kernel knows now."""
        return frozenset(line.split()[-1] for line in self.read("/proc/filesystems").splitlines() if line.strip())

    def has_module(self, name: str) -> bool:
        """Return whether a module is built in, loaded or there to be loaded."""
        modules = self._modules
        return name.replace("-", "_") in modules or (self.at("/sys/module") / name.replace("-", "_")).is_dir()

    @property
    def has_modules(self) -> bool:
        """Whether modules of the running kernel are installed; one that has been replaced by an update has none."""
        return self.at(f"/lib/modules/{self.kernel}").is_dir()

    @cached_property
    def _modules(self) -> frozenset[str]:
        directory = f"/lib/modules/{self.kernel}"
        lines = [
            line
            for name in ("modules.builtin", "modules.dep")
            for line in self.read(f"{directory}/{name}").splitlines()
        ]
        names = (line.partition(":")[0].rpartition("/")[2].partition(".ko")[0] for line in lines)
        return frozenset(name.replace("-", "_") for name in names if name)

    def read(self, path: str) -> str:
        """Return the text of a file, "" when it cannot be read."""
        try:
            with self.at(path).open("rb") as file:
                return file.read(_MUCH).decode(errors="replace")
        except OSError:
            return ""

    def at(self, path: str) -> Path:
        """Return where *path* of this machine is for us."""
        return self.root / path.lstrip("/")


def parse_release(text: str) -> dict[str, str]:
    """Return the fields of os-release(5); lines that are none are passed over."""
    fields = {}
    for line in text.splitlines():
        name, sign, value = line.strip().partition("=")
        if not sign or name.startswith("#"):
            continue
        try:
            words = shlex.split(value)
        except ValueError:
            continue
        fields[name] = words[0] if words else ""
    return fields
