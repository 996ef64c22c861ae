"""`kubedoctor explain`: what a check means, without looking at anything."""

from __future__ import annotations

import click
from click.shell_completion import CompletionItem

from kubedoctor.cli.app import App, pass_app
from kubedoctor.errors import UsageError


def _complete(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    from kubedoctor.cli.completion import complete_check

    return complete_check(ctx, parameter, incomplete)


@click.command("explain")
@click.argument("ids", metavar="[ID…]", nargs=-1, shell_complete=_complete)
@pass_app
def explain(app: App, ids: tuple[str, ...]) -> None:
    """Tell what a check means: what it looks at, why it matters, how to mend what it finds.

    A pattern, a plugin, a tag or the name of a check of kubeadm's does too. Several checks are listed; without an ID,
    all of them.
    """
    from kubedoctor.doctor.select import chosen, words
    from kubedoctor.report.explain_text import listing, render

    console, manager = app.console, app.manager
    checks = manager.checks()
    if not checks:
        raise UsageError("there is no check: no plugin with one was loaded", hint="kubedoctor plugins")
    selected = chosen(checks, words(ids))
    if ids and (len(selected) == 1 or len(selected) <= len(ids)):
        for number, check in enumerate(selected):
            owner = manager.owner_of(check.id)
            colour = console.style("x", "bold") != "x"
            text = render(check, owner=owner.owner if owner else "", width=console.width, colour=colour)
            console.data("\n".join(["", *text] if number else text))
    else:
        console.data("\n".join(listing(selected)))
