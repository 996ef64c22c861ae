"""`kubedoctor unpublish`: the end of what `publish` began."""

from __future__ import annotations

import click

from kubedoctor.cli.app import App, pass_app
from kubedoctor.cli.names import cluster_option
from kubedoctor.cli.running import running
from kubedoctor.errors import UsageError


@click.command("unpublish")
@click.argument("outside", type=click.IntRange(1, 65535))
@cluster_option
@pass_app
def unpublish(app: App, outside: int, name: str) -> None:
    """Stop listening on an outside port; connections that are open go on."""
    from kubedoctor.cluster.session import keeper_of

    _, status = running(name)
    for component in status.components:
        if any(port.outside == outside for port in component.ports):
            raise UsageError(
                f"port {outside} belongs to {component.name}",
                hint="`unpublish` ends what `publish` began, nothing else",
            )
    with keeper_of(name) as keeper:
        keeper.request("unpublish", outside=outside)
    app.console.say(f"port {outside} is closed")
