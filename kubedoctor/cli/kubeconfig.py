"""`kubedoctor kubeconfig`: what kubectl and other clients need to reach the cluster."""

from __future__ import annotations

import os
from pathlib import Path

import click

from kubedoctor.cli.app import App, pass_app
from kubedoctor.cli.names import cluster_option
from kubedoctor.errors import ExitCode, NotRunning, UsageError


@click.command("kubeconfig")
@cluster_option
@click.option("--raw", is_flag=True, help="print the kubeconfig itself, keys included, to be used anywhere")
@click.option("--merge", is_flag=True, help="put the cluster into your own kubeconfig and make it the current context")
@click.option("--unmerge", is_flag=True, help="take it out again, as `down --delete` does")
@pass_app
def kubeconfig(app: App, name: str, raw: bool, merge: bool, unmerge: bool) -> int:
    """Print the path of the administrator's kubeconfig.

    With --merge, your own is the first file of $KUBECONFIG, or ~/.kube/config; under sudo the one of who called it. The
    rest of that file stays as it is, comments included.
    """
    if raw + merge + unmerge > 1:
        raise UsageError("--raw, --merge and --unmerge exclude each other")
    from kubedoctor.cluster.certificates import settled
    from kubedoctor.cluster.status import existing

    paths = existing(name)
    path = Path(settled(paths).kubeconfig("admin"))
    if not unmerge and not path.exists():
        option = "" if name == "local" else f" --name {name}"
        raise NotRunning(f"cluster `{name}` has no kubeconfig yet", hint=f"kubedoctor up{option}")
    if not (raw or merge or unmerge):
        app.console.data(path)
        return ExitCode.OK
    from kubedoctor.cluster import kubeconfig_merge
    from kubedoctor.cluster.kubeconfig import entry_names
    from kubedoctor.cluster.kubeconfig import kubeconfig as as_text

    if raw:
        names = entry_names(name)
        app.console.data(as_text(kubeconfig_merge.embedded(path, names), names).rstrip("\n"))
    elif merge:
        merged = kubeconfig_merge.merge(paths, kubeconfig=path, environment=os.environ)
        app.console.say(f"context {merged.context} is in {merged.path} and is the current one")
        if merged.mode & 0o077:
            app.console.warn(
                f"others can read {merged.path} (mode {merged.mode:o}), and now a key of this cluster's administrator",
                hint=f"chmod 600 {merged.path}",
            )
    else:
        for file in kubeconfig_merge.unmerge(paths):
            app.console.say(f"taken out of {file}")
    return ExitCode.OK
