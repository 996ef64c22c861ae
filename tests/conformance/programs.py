"""Kubernetes' own tests and the programs of their images, built from the Go modules of the release under test."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from kubedoctor.cluster.binaries import gobuild
from kubedoctor.cluster.binaries.golang import find_go
from kubedoctor.components import GoBuild
from kubedoctor.config import ClusterConfig
from kubedoctor.plugins import load

Tell = Callable[[str], None]

_IMAGES = "k8s.io/kubernetes/test/images"
PACKAGES = {
    "agnhost": f"{_IMAGES}/agnhost",
    "nnp": f"{_IMAGES}/nonewprivs",
    "ginkgo": "github.com/onsi/ginkgo/v2/ginkgo",
}
"""What is compiled beside `e2e.test`, in one module, so that ginkgo is the one that the tests are compiled with."""

TESTS = "k8s.io/kubernetes/test/e2e"
SAMPLE = "k8s.io/sample-apiserver"
SAMPLE_VERSION = "v0.29.2"
"""That of the image which the test of aggregated APIs asks for (test/images/sample-apiserver/VERSION)."""


FILES = ("agnhost/porter/localhost.crt", "agnhost/porter/localhost.key", "kitten/html", "nautilus/html")
"""What images hold of the release's source, below test/images."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Programs:
    """Where the programs are, by name, and the `source` of images: a copy of what they hold of test/images."""

    directory: Path
    source: Path

    def __getitem__(self, name: str) -> Path:
        return self.directory / name


def built(cache: Path, version: str, tell: Tell) -> Programs:
    """Return the programs of Kubernetes *version* (`v1.37.2`), built into *cache* where they are not there yet.

    A quarter of an hour on two cores the first time; Go is needed for that only. Raise KubedoctorError saying why it
    did not work.
    """
    made = Programs(directory=cache / version / "bin", source=cache / version / "source")
    made.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    missing = [name for name in (*PACKAGES, "e2e.test") if not made[name].exists()]
    if missing or not made.source.exists():
        with _workshop(_recipe(), version, tell) as (workshop, source):
            _build(workshop, made, missing, version, tell)
            _copy_files(source / "test" / "images", made.source)
    if not made["sample-apiserver"].exists():
        sample = GoBuild(module=SAMPLE, version=SAMPLE_VERSION, packages={})
        with _workshop(sample, SAMPLE_VERSION, tell) as (workshop, _):
            tell("compiling sample-apiserver")
            workshop.run("get", f"{SAMPLE}@{SAMPLE_VERSION}")
            _compile(workshop, made["sample-apiserver"], "build", "-trimpath", package=SAMPLE)
    return made


def _build(workshop: gobuild.Workshop, made: Programs, missing: Sequence[str], version: str, tell: Tell) -> None:
    if not missing:
        return
    tell("downloading modules")
    packages = [PACKAGES[name] for name in missing if name in PACKAGES]
    # ginkgo is asked for without a version: the one that the tests ask for is taken.
    named = [f"{name}@{version}" if name.startswith("k8s.io/kubernetes/") else name for name in packages]
    workshop.run("get", "-t", f"{TESTS}@{version}", *named)
    flags = ["-trimpath", "-ldflags", gobuild._link_flags(_recipe(), version)]
    for name in missing:
        tell(f"compiling {name}")
        action = ("test", "-c") if name == "e2e.test" else ("build",)
        _compile(workshop, made[name], *action, *flags, package=PACKAGES.get(name, TESTS))


def _copy_files(images: Path, target: Path) -> None:
    temporary = target.with_name(f".{target.name}")
    shutil.rmtree(temporary, ignore_errors=True)
    for name in FILES:
        found = images / name
        for file in found.iterdir() if found.is_dir() else (found,):
            copy = temporary / file.relative_to(images)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(file.read_bytes())
    temporary.rename(target)


def _recipe() -> GoBuild:
    """Return how Kubernetes is built here anyway: the tests come of the same module."""
    manager, config = load(), ClusterConfig()
    return next(candidate for candidate in manager.binaries("kubelet", config) if isinstance(candidate, GoBuild))


@contextlib.contextmanager
def _workshop(recipe: GoBuild, version: str, tell: Tell) -> Iterator[tuple[gobuild.Workshop, Path]]:
    """Give a module that asks for that of *recipe*, and the directory of the latter's source."""
    with TemporaryDirectory(prefix="kubedoctor-e2e-") as directory:
        workshop = gobuild.Workshop(find_go(), Path(directory), None, lambda _: None)
        workshop.env["CGO_ENABLED"] = "0"
        described = workshop.json("mod", "download", "-json", f"{recipe.module}@{version}")
        its = workshop.json("mod", "edit", "-json", str(described["GoMod"]))
        workshop.go = find_go(str(its.get("Go") or "1.21"))
        (Path(directory) / "go.mod").write_text(gobuild._go_mod(recipe, version, its))
        yield workshop, Path(described["Dir"])


def _compile(workshop: gobuild.Workshop, target: Path, *arguments: str, package: str) -> None:
    temporary = target.with_name(f".{target.name}")
    workshop.run(*arguments, "-o", str(temporary), package)
    temporary.rename(target)
