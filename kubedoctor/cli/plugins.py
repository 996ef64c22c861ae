"""`kubedoctor plugins`: who takes part, and who could not."""

from __future__ import annotations

import click

from kubedoctor.cli.app import App, pass_app
from kubedoctor.cli.console import table
from kubedoctor.errors import ExitCode
from kubedoctor.plugins import Manager


@click.command(
    help="List the plugins: where each comes from, the hooks it has, how long it took to load, and what is wrong "
    "with those that could not be used. Exits with 1 when there is such a one."
)
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", help="form of the list")
@pass_app
def plugins(app: App, output: str) -> int:
    """List the plugins."""
    manager = app.manager
    collect(manager)
    app.forget_plugin_problems()
    if output == "json":
        app.console.json(document(manager))
    else:
        app.console.data(as_text(manager))
    return ExitCode.NOT_WELL if manager.problems else ExitCode.OK


def collect(manager: Manager) -> None:
    """Ask for everything that is collected once, so that what is wrong with it shows."""
    manager.commands()
    manager.facts()
    manager.checks()
    manager.signatures()
    manager.causes()


def document(manager: Manager) -> dict[str, object]:
    """Return the list for `-o json`; `seconds` is the time to load."""
    return {
        "schema_version": 1,
        "kind": "Plugins",
        "plugins": [
            {
                "name": plugin.name,
                "version": plugin.version,
                "distribution": plugin.distribution,
                "hooks": plugin.hooks,
                "checks": sum(manager.owner_of(check.id) == plugin for check in manager.checks()),
                "commands": sorted(
                    str(command.name) for command in manager.collected("kubedoctor_commands").get(plugin.name, ())
                ),
                "seconds": round(plugin.seconds, 6),
                "problems": [problem.message for problem in manager.problems if problem.name == plugin.name],
            }
            for plugin in manager.plugins
        ],
        "problems": manager.problems,
    }


def as_text(manager: Manager) -> str:
    """Return the list for a person."""
    rows = [
        (
            plugin.name,
            plugin.version,
            plugin.distribution,
            f"{plugin.seconds * 1000:.0f} ms",
            sum(manager.owner_of(check.id) == plugin for check in manager.checks()),
            ", ".join(hook.removeprefix("kubedoctor_") for hook in plugin.hooks),
        )
        for plugin in manager.plugins
    ]
    text = table(rows, ("plugin", "version", "distribution", "load", "checks", "hooks"), align="lllrr")
    if manager.problems:
        text += "\n\nproblems\n" + table([(problem.owner, problem.message) for problem in manager.problems], indent=2)
    return text
