"""For authors of plugins: load a module as a plugin and see what it plans, without installing or running anything.

Opt in with `pytest_plugins = ["kubedoctor.testing"]` in a test module or the topmost conftest.py:

    import acme_kubedoctor

    def test_acme_is_planned(load_plugin):
        acme = load_plugin(acme_kubedoctor, name="acme")
        assert "--listen=:8080" in acme.component("acme").argv

A check is run against the machine you describe:

    from kubedoctor.testing import run_check

    def test_a_gizmo_that_stands_still_is_found():
        result = run_check(gizmo_stuck, facts={gizmo: Gizmo(speed=0), (gizmo_log, "/run/gizmo"): Denied("needs root")})
        assert result.outcome == "failed"

PYTEST_DONT_REWRITE: there is no assert to rewrite here, and tests may import the types before pytest takes this up.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import pytest

from kubedoctor.checks import Check
from kubedoctor.cluster.documents import Plan, PlannedComponent
from kubedoctor.cluster.plan import components, make_plan
from kubedoctor.config import ClusterConfig
from kubedoctor.doctor.documents import Report, Result
from kubedoctor.doctor.examine import examine
from kubedoctor.doctor.given import FakeLook, Given
from kubedoctor.doctor.judge import CheckContext, Judgement
from kubedoctor.doctor.recording import replay, unpack
from kubedoctor.plugins import Manager, bundled_points
from kubedoctor.records import dataclass
from kubedoctor.targets import Target, TargetKind

__all__ = [
    "MACHINE",
    "FakeLook",
    "LoadPlugin",
    "PlannedBinary",
    "PluginUnderTest",
    "examine_recording",
    "load_plugin",
    "run_check",
]

MACHINE = Target(id="machine", kind=TargetKind.MACHINE, title="this machine")
"""A machine on which nothing runs and `up` would start nothing."""

KUBERNETES = "v1.37.2"
"""The version that binaries have in plans made for a test."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedBinary:
    """A binary nobody looks for, downloads or asks for its flags."""

    path: str
    version: str = KUBERNETES
    pending: str = "this is a test"


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginUnderTest:
    """A loaded plugin; `manager` may hold the bundled ones beside it."""

    manager: Manager
    directory: Path

    def config(self, **options: Any) -> ClusterConfig:
        """Return a configuration with *options*, whose cluster would lie in the test's own directory."""
        return ClusterConfig(**{"directory": self.directory, "node": False, **options})

    def plan(self, **options: Any) -> Plan:
        """Return what a cluster with *options* would run; an error of a plugin comes out as it would from `up`."""
        config = self.config(**options)
        wanted = components(config, self.manager)
        return make_plan(
            config,
            wanted,
            {name: PlannedBinary(path=f"/bin/{binary}") for name, binary in wanted.binaries.items()},
            flags_of=lambda _, __: frozenset(),
            rejects=lambda _path, _words: None,
        )

    def component(self, name: str, **options: Any) -> PlannedComponent:
        """Return the component *name* of the plan; fail the test when there is none."""
        planned = {component.name: component for component in self.plan(**options).components}
        if name not in planned:
            raise AssertionError(f"`{name}` is not in the plan, which has {', '.join(planned) or 'nothing'}")
        return planned[name]


class LoadPlugin(Protocol):
    """What the fixture `load_plugin` is."""

    def __call__(self, module: object, *, name: str = "plugin", bundled: bool = True) -> PluginUnderTest:
        """Load *module*, which may be any object with hooks, as the plugin *name*, with or without the bundled ones."""


@pytest.fixture
def load_plugin(tmp_path: Path) -> LoadPlugin:
    """Load a module as a plugin; fail the test when it could not be loaded as it is."""

    def load(module: object, *, name: str = "plugin", bundled: bool = True) -> PluginUnderTest:
        manager = Manager()
        for point in bundled_points() if bundled else ():
            manager.add(point.name, point.load, distribution="kubedoctor")
        manager.add(name, _giving(module), distribution=f"{name}-under-test", version="0")
        if manager.problems:
            raise AssertionError("\n".join(f"{one.owner}: {one.message}" for one in manager.problems))
        return PluginUnderTest(manager=manager, directory=tmp_path / "cluster")

    return load


def _giving(module: object) -> Callable[[], object]:
    return lambda: module


def run_check(check: Check, target: Target = MACHINE, *, facts: Given, now: float = 0.0) -> Result:
    """Return what *check* comes to on *target*, with *facts* as `FakeLook` takes them; *now* is the recorded time.

    An exception that would make the result `crashed` comes out as it is.
    """
    judgement = Judgement()
    judgement.judge(check, CheckContext(FakeLook(facts, now=now), target))
    if judgement.defect is not None:
        raise judgement.defect
    return judgement.result(check, target)


def examine_recording(file: str | Path, *checks: Check) -> Report:
    """Return what *checks* find on the machine that `kubedoctor check --record FILE` has recorded.

    Raise ValueError for a file that is no recording.
    """
    recording = unpack(Path(file).read_bytes())
    return examine(checks, recording.targets, replay(recording)).report
