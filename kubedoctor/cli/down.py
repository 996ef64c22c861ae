"""`kubedoctor down`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from kubedoctor.cli.app import App, pass_app
from kubedoctor.cli.completion import complete_cluster
from kubedoctor.errors import KubedoctorError, UsageError

if TYPE_CHECKING:
    from kubedoctor.cluster.paths import ClusterPaths

EXAMPLES = """\b
Examples:
  kubedoctor down                       stop it; data and keys stay for the next `up`
  kubedoctor down --delete              stop it and remove all that belongs to it
  kubedoctor down --all                 stop every cluster
  kubedoctor down --delete --dry-run    show what would be ended and removed
"""


@click.command(epilog=EXAMPLES)
@click.option("--name", shell_complete=complete_cluster, help="name of the cluster [local]")
@click.option("--all", "everything", is_flag=True, help="every cluster of this user")
@click.option("--delete", is_flag=True, help="also remove the cluster's directory, and its entry in your kubeconfig")
@click.option("--dry-run", is_flag=True, help="show what would be ended and removed, and do nothing")
@pass_app
def down(app: App, name: str | None, everything: bool, delete: bool, dry_run: bool) -> None:
    """Stop a cluster in order; return when nothing of it runs any more."""
    from kubedoctor.cluster.paths import ClusterPaths, clusters
    from kubedoctor.configuration.layers import load

    if everything and name:
        raise UsageError("--all and --name exclude each other")
    chosen = clusters() if everything else [ClusterPaths.of(name or load({}).config.name)]
    failures: list[KubedoctorError] = []
    for cluster in chosen:
        try:
            if dry_run:
                _tell(app, cluster, delete)
            else:
                _end(app, cluster, delete)
        except KubedoctorError as problem:  # the others shall end all the same
            if len(chosen) == 1:
                raise
            failures.append(problem)
            app.console.error(f"{cluster.name}: {problem.message}", hint=problem.hint)
    if not chosen:
        app.console.say("there is no cluster")
    if failures:
        raise KubedoctorError(f"{len(failures)} of {len(chosen)} clusters could not be stopped")


def _end(app: App, cluster: ClusterPaths, delete: bool) -> None:
    from kubedoctor.cluster.teardown import remove, stop

    began = time.monotonic()
    ran = stop(cluster)
    if ran:
        app.console.say(f"cluster `{cluster.name}` stopped in {time.monotonic() - began:.1f} s")
    elif not delete or not cluster.directory.exists():
        app.console.say(f"cluster `{cluster.name}` does not run")
    if delete and cluster.directory.exists():
        for line in remove(cluster):
            app.console.say(line)
        app.console.say(f"{cluster.directory} removed")


def _tell(app: App, cluster: ClusterPaths, delete: bool) -> None:
    from kubedoctor.cluster.teardown import what_would_end

    for line in what_would_end(cluster, delete=delete):
        app.console.data(line)
