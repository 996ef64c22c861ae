"""`kubedoctor config`: what is set, and where."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import click

from kubedoctor.cli.app import App, pass_app
from kubedoctor.cli.config_entries import entries, toml
from kubedoctor.cli.options import ClusterCommand, cluster_options

if TYPE_CHECKING:
    from kubedoctor.configuration.layers import Resolved


@click.command(
    cls=ClusterCommand,
    help="Show what a cluster is asked to be and where each value was said: on the command line, in the environment, "
    "in the configuration file. Takes the options of `up`, so it tells what `up` would make of them.",
)
@click.option("--all", "everything", is_flag=True, help="show what is by default too")
@click.option("--explain", metavar="NAME", help="tell of one option, or of a variable of local-up-cluster.sh")
@click.option(
    "-o", "--output", type=click.Choice(["text", "json", "toml"]), default="text", help="toml: a file to be used again"
)
@cluster_options
@pass_app
def config(app: App, everything: bool, explain: str | None, output: str, flags: dict[str, object]) -> None:
    """Print the settled configuration."""
    from kubedoctor.cluster.paths import home
    from kubedoctor.configuration.layers import load
    from kubedoctor.configuration.sudo import sudo_dropped

    resolved = load(flags, home=home())
    if explain is not None:
        from kubedoctor.cli.config_explain import explanation

        app.console.data(explanation(explain, resolved))
        return
    for note in resolved.notes:
        app.console.say(f"note: {note}")
    if dropped := sudo_dropped(os.environ):
        app.console.say(dropped)
    if output == "json":
        app.console.json(document(resolved, everything=everything))
        return
    lines = as_toml(resolved, everything=everything) if output == "toml" else as_text(resolved, everything=everything)
    if lines:
        app.console.data("\n".join(lines))
    else:
        app.console.say("everything is as by default: `kubedoctor config --all` shows it")


def as_text(resolved: Resolved, *, everything: bool) -> list[str]:
    """Return a line for each setting: `api-port = 6443   (environment API_SECURE_PORT)`, the origins aligned."""
    shown = [(f"{entry.key} = {entry.toml}", entry.origin) for entry in entries(resolved, everything=everything)]
    width = min(max((len(text) for text, _ in shown), default=0), 60)
    return [f"{text:<{width}}   ({origin})" for text, origin in shown]


def as_toml(resolved: Resolved, *, everything: bool) -> list[str]:
    """Return the lines of a configuration file that says the same; what has no value yet is left out."""
    found = list(entries(resolved, everything=everything))
    lines = [f"{entry.key} = {entry.toml}  # {entry.origin}" for entry in found if entry.value is not None]
    for component, flags in resolved.config.set.items():
        if removed := [flag for flag, value in flags.items() if value is None]:
            lines.append(f"component.{component}.without-flags = {toml(removed)}")
    return lines


def document(resolved: Resolved, *, everything: bool) -> dict[str, Any]:
    """Return the document of `-o json`."""
    return {
        "schema_version": 1,
        "kind": "Configuration",
        "file": str(resolved.file or ""),
        "directory": str(resolved.config.directory),
        "settings": [
            {"key": entry.key, "value": entry.value, "origin": entry.origin}
            for entry in entries(resolved, everything=everything)
        ],
        "notes": list(resolved.notes),
    }
