"""`kubedoctor acme`."""

from __future__ import annotations

import click


@click.group()
def acme() -> None:
    """Talk to acme's greeter."""


@acme.command()
@click.argument("name", default="world")
def hello(name: str) -> None:
    """Greet NAME."""
    click.echo(f"hello {name}, says acme")
