"""Building programs from Go modules, in an empty module of our own, so that nothing of the user's is touched."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import field
from pathlib import Path
from typing import Any

from kubedoctor.cluster.binaries import libraries, store
from kubedoctor.cluster.binaries.command import run
from kubedoctor.cluster.binaries.golang import Go, find_go
from kubedoctor.cluster.binaries.versions import Wish, fill
from kubedoctor.cluster.files import write_atomically
from kubedoctor.cluster.paths import cache
from kubedoctor.components import GoBuild
from kubedoctor.errors import KubedoctorError
from kubedoctor.records import dataclass

Tell = Callable[[str], None]

_NOT_TOLD = ("#", "go: added", "go: upgraded")  # of no interest to the one who waits
_NO_NETWORK = ("dial tcp", "no such host", "connection refused", "i/o timeout", "proxyconnect", "TLS handshake")
_NO_VERSION = (
    "not available",
    "unknown revision",
    "no matching versions",
    "invalid version",
    "404 Not Found",
    "410 Gone",
)


def newest(module: str, wish: Wish) -> str:
    """Return the newest version of *module* that meets *wish* (`latest` or a minor one), as the module proxy says."""
    query = "latest" if wish.latest or wish.version is None else f"v{wish.version.major}.{wish.version.minor}"
    with tempfile.TemporaryDirectory(prefix="kubedoctor-") as directory:
        workshop = Workshop(find_go(), Path(directory), None, lambda _: None)
        return str(workshop.json("list", "-m", "-json", f"{module}@{query}")["Version"])


def build(recipe: GoBuild, version: str, names: Iterable[str], tell: Tell) -> None:
    """Build *names* of *recipe* into the cache; *tell* is given a line for every step.

    Programs that share a folder are all built. One process builds a version at a time: a second one waits and finds
    the result. The log is kept in the cache. Raise KubedoctorError saying why it did not work; nothing half-made is
    left, by Ctrl-C neither.
    """
    key = f"{recipe.module}@{version}".replace("/", "_")
    with store.lock(key, lambda: tell("another kubedoctor builds it, waiting")):
        wanted = recipe.packages if recipe.folder else names
        missing = {name: recipe.packages[name] for name in wanted if not store.is_there(name, version, recipe.folder)}
        if missing:
            log = cache() / f"build-{recipe.module.replace('/', '-')}-{version}.log"
            with store.workshop(key) as directory:
                _build(recipe, version, missing, directory, log, tell)


def _build(recipe: GoBuild, version: str, packages: dict[str, str], directory: Path, log: Path, tell: Tell) -> None:
    tell("looking at the module")
    module, out, temporary = directory / "module", directory / "out", directory / "tmp"
    with store.clear_errors():
        for made in (module, out, temporary):
            made.mkdir()
        log.write_text("")
    workshop = Workshop(find_go(), module, log, tell)
    workshop.env["GOTMPDIR"] = str(temporary)
    described = workshop.json("mod", "download", "-json", f"{recipe.module}@{version}")
    its = workshop.json("mod", "edit", "-json", str(described["GoMod"]))
    wanted = str(its.get("Go") or "1.21")
    workshop.go = find_go(wanted)
    with store.clear_errors():
        write_atomically(module / "go.mod", _go_mod(recipe, version, its))
    workshop.env["CGO_ENABLED"] = "1" if recipe.cgo else "0"
    if recipe.cgo:
        workshop.env |= libraries.environment(recipe, directory, workshop.note)
    tell("downloading modules")
    workshop.run("get", *(f"{package}@{version}" for package in packages.values()))
    tags = ["-tags", ",".join(recipe.tags)] if recipe.tags else []
    tell(f"compiling {', '.join(packages)}")
    flags = ["-trimpath", *tags, "-ldflags", _link_flags(recipe, version)]
    workshop.run("build", "-v", *flags, "-o", f"{out}/", *packages.values())
    for name, package in packages.items():
        store.install(out / _program(package), name, version, recipe.folder)


def _program(package: str) -> str:
    """Return what `go build` calls the program of *package*: its last element, a major version left out."""
    *_, before, last = ["", *package.split("/")]
    return before if last[:1] == "v" and last[1:].isdecimal() else last


def _link_flags(recipe: GoBuild, version: str) -> str:
    return " ".join(["-s", "-w", *(f"-X {fill(stamp, version)}" for stamp in recipe.stamp)])


def _go_mod(recipe: GoBuild, version: str, its: dict[str, Any]) -> str:
    """Return the go.mod of our module: that of the built one decides language version and GODEBUG settings.

    Modules that it replaces by directories of its own (./staging/…) are published as v0.<minor>.<patch>.
    """
    lines = ["module kubedoctor.build/workshop", "", f"go {its.get('Go') or '1.21'}", ""]
    lines += [f"godebug {setting['Key']}={setting['Value']}" for setting in its.get("Godebug") or ()]
    lines += ["", f"require {recipe.module} {version}", ""]
    if recipe.staging:
        published = f"v0{version.removeprefix('v').lstrip('0123456789')}"
        for replace in its.get("Replace") or ():
            if replace["New"]["Path"].startswith("./staging/"):
                lines.append(f"replace {replace['Old']['Path']} => {replace['Old']['Path']} {published}")
    return "\n".join(lines) + "\n"


@dataclass
class Workshop:
    """A Go, a directory to run it in, and where its output goes."""

    go: Go
    directory: Path
    log: Path | None
    tell: Tell
    env: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        unwanted = {"GOOS", "GOARCH", "GOEXPERIMENT"}  # the user's may be set for a cross build
        inherited = {key: value for key, value in os.environ.items() if key not in unwanted}
        self.env = {**inherited, "GOFLAGS": "-mod=mod -buildvcs=false", "GOWORK": "off", "GO111MODULE": "on"}

    def json(self, *arguments: str) -> dict[str, Any]:
        """Run go with *arguments* and return the JSON object it prints."""
        found: dict[str, Any] = json.loads(self.run(*arguments))
        return found

    def run(self, *arguments: str) -> str:
        """Run go with *arguments* and return its standard output; raise KubedoctorError with its complaint."""
        told: list[str] = []

        def line(text: str) -> None:
            told.append(text)
            self.note(text)

        self._write(f"$ go {' '.join(arguments)}")
        status, output = run([self.go.path, *arguments], self.directory, self.env, line)
        if status:
            self._write(output)
            raise _failure(arguments, [*told, *_said_in_json(output)], self.log)
        return output

    def note(self, text: str) -> None:
        """Put a line into the log, and tell it if it is of interest to the one who waits."""
        if text and not text.startswith(_NOT_TOLD):
            self.tell(text.removeprefix("go: "))
        self._write(text)

    def _write(self, text: str) -> None:
        if self.log and text:
            with store.clear_errors(), self.log.open("a") as stream:
                stream.write(text + "\n")


def _said_in_json(output: str) -> list[str]:
    """Return the lines of the error that `go mod download -json` tells on standard output."""
    try:
        told = json.loads(output)
    except ValueError:
        return []
    return str(told.get("Error", "")).splitlines() if isinstance(told, dict) else []


def _failure(arguments: tuple[str, ...], told: list[str], log: Path | None) -> KubedoctorError:
    text = "\n".join(told)
    steps = ("go: downloading", *_NOT_TOLD)
    lines = [line.strip() for line in told if line.strip() and not line.startswith(steps)]
    signs = (*_NO_NETWORK, *_NO_VERSION)
    telling = [line for line in lines if any(sign in line for sign in signs)] or lines[-1:]
    reason = telling[0] if telling else "it says nothing"
    hint = "" if log else "run `go env GOPROXY` to see where Go looks"
    if "no space left on device" in text:
        hint = f"make room: Go's caches are large (`go clean -cache`), and so may be {cache()}"
    elif any(sign in text for sign in _NO_NETWORK):
        hint = "set GOPROXY to a module proxy that can be reached, or give binaries with --bin-dir"
    elif any(sign in text for sign in _NO_VERSION):
        hint = f"is it a released version? `go list -m -versions {arguments[-1].partition('@')[0]}` lists them"
    hint = "\n".join(filter(None, (hint, f"the log is {log}" if log else "")))
    return KubedoctorError(f"`go {' '.join(arguments[:2])}` failed: {reason}", hint=hint)
