"""`kubedoctor completion`, and the values other commands complete: names of components, clusters and plugins.

What completes must be quick and silent: whatever goes wrong, there is nothing to choose from.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable

import click
from click.shell_completion import CompletionItem, get_completion_class

from kubedoctor.cli.app import App, pass_app


@click.command(help="Print the script that completes kubedoctor's commands and names in a shell.")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@pass_app
def completion(app: App, shell: str) -> None:
    """Print click's script for *shell*, and where it goes."""
    from kubedoctor.cli.main import COMPLETE_VARIABLE, cli

    completer = get_completion_class(shell)
    assert completer is not None, shell  # noqa: S101 - the choice above names only what click has
    app.console.data(completer(cli, {}, "kubedoctor", COMPLETE_VARIABLE).source().strip())
    if app.console.stdout.isatty():
        for line in HOW_TO_USE[shell]:
            app.console.say(line)


HOW_TO_USE = {
    "bash": ("", "add to ~/.bashrc:", '  eval "$(kubedoctor completion bash)"'),
    "zsh": ("", "add to ~/.zshrc:", '  eval "$(kubedoctor completion zsh)"'),
    "fish": ("", "run once:", "  kubedoctor completion fish > ~/.config/fish/completions/kubedoctor.fish"),
}


def complete_cluster(_ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the name of a cluster of this user."""
    from kubedoctor.cluster.paths import clusters

    with contextlib.suppress(Exception):
        return _matching(incomplete, (cluster.name for cluster in clusters()))
    return []


def complete_component(ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the name of a component: of the cluster's plan (`--name`, else local), of the plugins without one.

    What stands before the last comma is kept, so `--only etcd,kube-<TAB>` completes too.
    """
    before, comma, last = incomplete.rpartition(",")
    with contextlib.suppress(Exception):
        names = _planned(str(ctx.params.get("name") or "local")) or _contributed(ctx)
        return [
            CompletionItem(f"{before}{comma}{item.value}", help=item.help)
            for item in _matching(last, names)
            if item.value not in before.split(",")
        ]
    return []


def complete_plugin(ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the name of a plugin."""
    with contextlib.suppress(Exception):
        return _matching(incomplete, (plugin.name for plugin in ctx.ensure_object(App).manager.plugins))
    return []


def complete_check(ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the id of a check, with what it says when all is well; or a plugin's name, or a tag."""
    with contextlib.suppress(Exception):
        checks = ctx.ensure_object(App).manager.checks()
        plugins = sorted({check.id.partition(".")[0] for check in checks})
        tags = sorted({f"tag:{tag}" for check in checks for tag in check.tags})
        items = [CompletionItem(check.id, help=check.title) for check in checks]
        return [
            item for item in (*items, *map(CompletionItem, (*plugins, *tags))) if str(item.value).startswith(incomplete)
        ]
    return []


def _matching(incomplete: str, names: Iterable[str]) -> list[CompletionItem]:
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]


def _planned(cluster: str) -> list[str]:
    from kubedoctor.cluster.paths import ClusterPaths

    names: dict[str, None] = {}
    for file in sorted(ClusterPaths.of(cluster).places.glob("*/plan.json")):
        names |= dict.fromkeys(component["name"] for component in json.loads(file.read_text())["components"])
    return list(names)


def _contributed(ctx: click.Context) -> list[str]:
    from kubedoctor.config import ClusterConfig

    return list(ctx.ensure_object(App).manager.components(ClusterConfig()).components)
