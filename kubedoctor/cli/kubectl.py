"""`kubedoctor kubectl`: kubectl with the cluster, every argument passed on as it is."""

from __future__ import annotations

import os
import shutil
import sys
from typing import TYPE_CHECKING

import click

from kubedoctor.cli.app import App, pass_app
from kubedoctor.cli.names import cluster_option
from kubedoctor.cli.running import not_running
from kubedoctor.errors import KubedoctorError

if TYPE_CHECKING:
    from kubedoctor.cluster.paths import ClusterPaths

_WITHOUT_CLUSTER = frozenset({"completion", "config", "help", "kustomize", "options", "plugin", "--help", "-h"})
"""Commands of kubectl that ask no API; they work while the cluster is stopped."""


@click.command(
    "kubectl",
    add_help_option=False,  # --help is kubectl's
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
)
@cluster_option
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@pass_app
def kubectl(app: App, name: str, arguments: tuple[str, ...]) -> None:
    """Run kubectl with a cluster; --name comes first, all else is kubectl's."""
    from kubedoctor.cluster.documents import Phase
    from kubedoctor.cluster.status import existing, look
    from kubedoctor.cluster.surroundings import variables

    cluster = existing(name)
    status = look(cluster)
    if status.phase == Phase.STOPPED and arguments and arguments[0] not in _WITHOUT_CLUSTER:
        raise not_running(name, status.reason)
    path = _find(app, cluster)
    environment = {**os.environ, **variables(status.kubeconfig, status.address, os.environ)}
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        os.execve(path, ["kubectl", *arguments], environment)  # noqa: S606 - no shell is wanted
    except OSError as problem:
        raise KubedoctorError(f"{path} cannot be run: {problem.strerror}") from problem


def _find(app: App, cluster: ClusterPaths) -> str:
    """Return the path of the kubectl that fits the cluster best.

    The one that lies beside the cluster's binaries, that of the cache, one on PATH at most a minor version off, which
    is what Kubernetes allows; else what the plugins offer, downloaded or built.
    """
    from kubedoctor.cluster.status import read_plan

    plan = read_plan(cluster.place())
    version = str(plan.get("kubernetes") or "")
    for component in plan.get("components") or ():
        if isinstance(component, dict) and component.get("version") == version:
            beside = os.path.join(os.path.dirname(str(component.get("binary"))), "kubectl")  # noqa: PTH118, PTH120
            if os.access(beside, os.X_OK):
                return beside
    return _from_cache_or_path(version) or _provided(app, cluster, version)


def _from_cache_or_path(version: str) -> str:
    from kubedoctor.cluster.binaries import store
    from kubedoctor.cluster.binaries.probe import version_of
    from kubedoctor.cluster.binaries.versions import Version

    if version and store.is_there("kubectl", version):
        return str(store.path_of("kubectl", version))
    on_path, wanted = shutil.which("kubectl"), Version.parse(version)
    if on_path is None or wanted is None:
        return on_path or ""
    found = Version.parse(version_of(on_path, "kubectl"))
    near = found is not None and found.major == wanted.major and abs(found.minor - wanted.minor) <= 1
    return on_path if near else ""


def _provided(app: App, cluster: ClusterPaths, version: str) -> str:
    from kubedoctor.cluster.binaries.provide import provide
    from kubedoctor.cluster.settling import settle

    flags: dict[str, object] = {"name": cluster.name, **({"kubernetes": version} if version else {})}
    config = settle(flags, os.environ).config

    def tell(name: str, text: str, done: int = 0, total: int = 0) -> None:  # noqa: ARG001 - a step a line is enough
        line = f"{name}: {text}"
        if line != told[-1]:
            told.append(line)
            app.console.say(line)

    told = [""]
    return provide(["kubectl"], config, lambda name: app.manager.binaries(name, config), progress=tell)["kubectl"].path
