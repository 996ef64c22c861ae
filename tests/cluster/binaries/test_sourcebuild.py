from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest
from kubedoctor_binaries import node
from support.clusters import eventually

from kubedoctor.cluster.binaries import golang, sourcebuild, store
from kubedoctor.cluster.binaries.fitness import unfit
from kubedoctor.cluster.binaries.probe import version_of
from kubedoctor.cluster.binaries.provide import provide
from kubedoctor.components import Candidate, Source, SourceBuild
from kubedoctor.config import ClusterConfig
from kubedoctor.errors import KubedoctorError, PluginError

VERSION = "v1.2.3"
C = SourceBuild(
    file="one.c", source='#include <stdio.h>\nint main(void) { return puts("one " VERSION) < 0; }\n', version=VERSION
)
GO = SourceBuild(
    file="one.go", source='package main\nvar version = ""\nfunc main() { print("one ", version) }\n', version=VERSION
)
GO_CACHE = os.environ.get("GOCACHE") or str(Path.home() / ".cache/go-build")  # before HOME is another one


@pytest.fixture(autouse=True)
def compilers(monkeypatch: pytest.MonkeyPatch) -> None:
    """What has been compiled by Go before need not be again."""
    monkeypatch.setenv("GOCACHE", GO_CACHE)
    monkeypatch.delenv("CC", raising=False)


def got(*recipes: Candidate) -> tuple[str, list[str]]:
    told: list[str] = []
    chosen = provide(
        ["one"], ClusterConfig(), lambda _: list(recipes), progress=lambda name, text, *_: told.append(text)
    )["one"]
    assert chosen.source in (Source.BUILD, Source.CACHE)
    return chosen.path, told


@pytest.mark.integration
@pytest.mark.parametrize("recipe", [C, GO], ids=["c", "go"])
def test_program_is_compiled_told_its_version_and_static(recipe: SourceBuild, cache: Path) -> None:
    path, told = got(recipe)
    done = subprocess.run([path], capture_output=True, text=True, check=True)
    assert (done.stdout + done.stderr).strip() == f"one {VERSION}"
    assert unfit(path, "coredns") == ""
    assert told == [f"compiling {recipe.file}"]
    assert list((cache / "build").iterdir()) == []


@pytest.mark.integration
def test_nothing_is_compiled_twice(cache: Path) -> None:
    got(C)
    assert got(C)[1] == []
    told: list[str] = []
    sourcebuild.build(C, "one", told.append)
    assert told == []


@pytest.mark.integration
def test_where_c_cannot_be_compiled_go_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "no-such-compiler")
    path, told = got(C, GO)
    assert told[1] == ("compiling one.c needs a C compiler, and there is no `no-such-compiler`; trying another way")
    assert version_of(path) == VERSION


@pytest.mark.integration
def test_error_of_the_compiler_is_told(cache: Path) -> None:
    broken = SourceBuild(file="one.c", source="int main(void) { return undeclared; }\n", version=VERSION)
    with pytest.raises(KubedoctorError, match=r"`cc one\.c` failed: .*undeclared"):
        got(broken)
    assert not (cache / "bin").exists()
    assert list((cache / "build").iterdir()) == []


def test_without_a_compiler_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(golang, "_wheel", lambda: None)
    with pytest.raises(KubedoctorError, match="building needs Go"):
        got(C, GO)
    with pytest.raises(KubedoctorError, match="needs a C compiler") as raised:
        got(C)
    assert raised.value.hint == "install gcc or clang"


@pytest.mark.parametrize("file", ["../one.c", "one.rs", "", "a/one.go", "/one.c"])
def test_recipe_with_an_odd_file_is_refused(file: str) -> None:
    with pytest.raises(PluginError, match="is not the name of a file in C or Go"):
        sourcebuild.build(SourceBuild(file=file, source="", version=VERSION), "one", lambda _: None)
    assert not store.is_there("one", VERSION)


@pytest.mark.integration
@pytest.mark.parametrize("file", ["pause.c", "pause.go"])
def test_our_pause_waits_reaps_and_leaves(file: str, cache: Path) -> None:
    (recipe,) = [r for r in node.recipes("pause", ClusterConfig()) if isinstance(r, SourceBuild) and r.file == file]
    sourcebuild.build(recipe, "pause", lambda _: None)
    path = str(store.path_of("pause", recipe.version))
    assert version_of(path) == node.PAUSE_VERSION
    assert unfit(path, "pause") == ""
    for wish in (signal.SIGTERM, signal.SIGINT):
        assert ended_by(path, wish) == 0


def ended_by(path: str, wish: signal.Signals) -> int:
    """Return the exit status of pause after *wish*; before, it has reaped a child that was left to it."""
    # The shell becomes pause, and so the parent of what it started.
    with subprocess.Popen(["/bin/sh", "-c", 'sleep 300 & echo $!; exec "$0"', path], stdout=subprocess.PIPE) as process:
        assert process.stdout
        child = Path("/proc") / process.stdout.readline().decode().strip()
        try:
            assert eventually(lambda: handles(process.pid, path, wish))
            os.kill(int(child.name), signal.SIGKILL)
            assert eventually(lambda: not child.exists())  # it would stay as a zombie
            process.send_signal(wish)
            return process.wait(10)
        finally:
            process.kill()
            if child.exists():
                os.kill(int(child.name), signal.SIGKILL)


def handles(pid: int, path: str, wish: signal.Signals) -> bool:
    """Return whether the process is the program at *path* by now, and prepared for *wish*."""
    if Path(f"/proc/{pid}/exe").readlink() != Path(path).resolve():
        return False
    caught = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("SigCgt:"))
    return bool(int(caught.split()[1], 16) >> (wish - 1) & 1)
