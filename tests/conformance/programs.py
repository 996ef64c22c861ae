"""Kubernetes' own tests and the programs of their images, built from the Go modules of the release under test."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Programs:
    """Where the programs are, by name, and the source of Kubernetes: some of its files are in images."""

    directory: Path
    source: Path

    def __getitem__(self, name: str) -> Path:
        return self.directory / name


def built(cache: Path, version: str, tell: Tell) -> Programs:
    """Return the programs of Kubernetes *version* (`v1.37.2`), built into *cache* where they are not there yet.

    A quarter of an hour on two cores the first time. Raise KubedoctorError saying why it did not work.
    """
    directory = cache / version / "bin"
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    recipe = _recipe()
    with _workshop(recipe, version, tell) as (workshop, source):
        flags = ["-trimpath", "-ldflags", gobuild._link_flags(recipe, version)]
        missing = {name: package for name, package in PACKAGES.items() if not (directory / name).exists()}
        tests = directory / "e2e.test"
        if missing or not tests.exists():
            tell("downloading modules")
            named = [f"{package}@{version}" if package.startswith(recipe.module) else package for package in
                     missing.values()]  # fmt: skip
            workshop.run("get", "-t", f"{TESTS}@{version}")
            workshop.run("get", *named)
        for name, package in missing.items():
            tell(f"compiling {name}")
            _compile(workshop, directory / name, "build", *flags, package=package)
        if not tests.exists():
            tell("compiling e2e.test")
            _compile(workshop, tests, "test", "-c", *flags, package=TESTS)
    if not (directory / "sample-apiserver").exists():
        sample = GoBuild(module=SAMPLE, version=SAMPLE_VERSION, packages={})
        with _workshop(sample, SAMPLE_VERSION, tell) as (workshop, _):
            tell("compiling sample-apiserver")
            workshop.run("get", f"{SAMPLE}@{SAMPLE_VERSION}")
            _compile(workshop, directory / "sample-apiserver", "build", "-trimpath", package=SAMPLE)
    return Programs(directory=directory, source=source)


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
