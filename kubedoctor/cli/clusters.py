"""`kubedoctor clusters`: which clusters there are."""

from __future__ import annotations

import time
from datetime import datetime

import click

from kubedoctor.cli.app import App, pass_app


@click.command("clusters")
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", help="form of the answer")
@pass_app
def clusters(app: App, output: str) -> None:
    """List the clusters there are, running or not."""
    from kubedoctor.cli.console import table
    from kubedoctor.cluster.overview import overview

    found = overview()
    if output == "json":
        app.console.json(found)
        return
    if not found.clusters:
        app.console.say("there is no cluster yet: kubedoctor up")
        return
    rows = [
        (c.name, c.phase, _lasted(c.since), c.kubernetes or None, c.address if c.phase != "stopped" else "", c.reason)
        for c in found.clusters
    ]
    app.console.data(table(rows, ("name", "phase", "for", "version", "address", ""), align="llr"))


def _lasted(since: str) -> str | None:
    from kubedoctor.report.text import duration

    try:
        return duration(time.time() - datetime.fromisoformat(since).timestamp())
    except ValueError:
        return None
