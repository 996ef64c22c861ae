"""The option that says which cluster, and how its values are completed."""

from __future__ import annotations

import click
from click.shell_completion import CompletionItem


def _complete(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    from kubedoctor.cluster.paths import clusters

    return [CompletionItem(cluster.name) for cluster in clusters() if cluster.name.startswith(incomplete)]


cluster_option = click.option(
    "--name",
    default="local",
    envvar="KUBEDOCTOR_NAME",
    show_default=True,
    metavar="NAME",
    help="which cluster",
    shell_complete=_complete,
)
"""`--name NAME`, the cluster a command is about."""
