"""Compiling the small programs whose source is a plugin's own."""

from __future__ import annotations

import os
import shlex
import shutil
from pathlib import Path

from kubedoctor.cluster.binaries import store
from kubedoctor.cluster.binaries.command import run
from kubedoctor.cluster.binaries.gobuild import Tell, Workshop
from kubedoctor.cluster.binaries.golang import find_go
from kubedoctor.cluster.paths import cache
from kubedoctor.components import SourceBuild
from kubedoctor.errors import KubedoctorError, PluginError


def build(recipe: SourceBuild, name: str, tell: Tell) -> None:
    """Compile *recipe* into the cache as *name*; *tell* is given a line for every step.

    Raise KubedoctorError saying why it did not work.
    """
    key = f"{name}@{recipe.version}"
    with store.lock(key, lambda: tell("another kubedoctor builds it, waiting")):
        if store.is_there(name, recipe.version):
            return
        if Path(recipe.file).name != recipe.file or Path(recipe.file).suffix not in (".c", ".go"):
            raise PluginError(f"a recipe for {name}: `{recipe.file}` is not the name of a file in C or Go")
        tell(f"compiling {recipe.file}")
        with store.workshop(key) as directory:
            with store.clear_errors():
                (directory / recipe.file).write_text(recipe.source)
            made = directory / "out"
            if recipe.file.endswith(".c"):
                _compile(recipe, made, directory)
            else:
                _build(recipe, made, directory, cache() / f"build-{name}-{recipe.version}.log", tell)
            store.install(made, name, recipe.version)


def _compile(recipe: SourceBuild, made: Path, directory: Path) -> None:
    compiler = shlex.split(os.environ.get("CC", "")) or ["cc"]
    if not shutil.which(compiler[0]):
        raise KubedoctorError(
            f"compiling {recipe.file} needs a C compiler, and there is no `{compiler[0]}`", hint="install gcc or clang"
        )
    complaints: list[str] = []
    flags = ["-static", "-Os", "-s", "-Wall", f'-DVERSION="{recipe.version}"', "-o", str(made), recipe.file]
    status, _ = run([*compiler, *flags], directory, {**os.environ, "LC_ALL": "C"}, complaints.append)
    if status:
        telling = [line for line in complaints if "error" in line or "cannot find" in line] or complaints[-1:]
        reason = telling[0].strip() if telling else "it says nothing"
        raise KubedoctorError(
            f"`{compiler[0]} {recipe.file}` failed: {reason}",
            hint="a static C library is needed: libc6-dev has it, on Fedora and SUSE glibc-static",
        )


def _build(recipe: SourceBuild, made: Path, directory: Path, log: Path, tell: Tell) -> None:
    with store.clear_errors():
        (directory / "go.mod").write_text("module kubedoctor.build/workshop\n\ngo 1.21\n")
        log.write_text("")
    workshop = Workshop(find_go(), directory, log, tell)
    workshop.env |= {"CGO_ENABLED": "0", "GOTMPDIR": str(directory)}
    stamp = f"-s -w -X main.version={recipe.version}"
    workshop.run("build", "-trimpath", "-ldflags", stamp, "-o", str(made), recipe.file)
