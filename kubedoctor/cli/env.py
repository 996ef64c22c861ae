"""`kubedoctor env`: lines for a shell."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path

import click

from kubedoctor.cli.app import App, pass_app
from kubedoctor.cli.names import cluster_option

SHELLS = ("sh", "bash", "zsh", "fish")


@click.command("env")
@cluster_option
@click.option("--shell", type=click.Choice(SHELLS), help="for this shell instead of the one in $SHELL")
@click.option("--unset", is_flag=True, help="print the lines that undo it")
@pass_app
def env(app: App, name: str, shell: str | None, unset: bool) -> None:
    """Print the shell lines that make kubectl use a cluster.

    \b
    eval "$(kubedoctor env)"        in sh, bash, zsh
    kubedoctor env | source         in fish
    """
    from kubedoctor.cluster.documents import Phase
    from kubedoctor.cluster.status import existing, look
    from kubedoctor.cluster.surroundings import variables

    syntax = shell or Path(os.environ.get("SHELL", "")).name
    if unset:
        lines = unset_lines(["KUBECONFIG"], syntax)
    else:
        status = look(existing(name))
        if status.phase == Phase.STOPPED:
            app.console.warn(f"cluster `{name}` does not run", hint=f"kubedoctor up --name {name}")
        lines = set_lines(variables(status.kubeconfig, status.address, os.environ), syntax)
    for line in lines:
        app.console.data(line)


def set_lines(values: Mapping[str, str], shell: str) -> list[str]:
    """Return the lines that set variables in *shell*; every shell but fish takes those of POSIX."""
    if shell == "fish":
        return [f"set -gx {name} {_fish_quoted(value)};" for name, value in values.items()]
    return [f"export {name}={shlex.quote(value)}" for name, value in values.items()]


def unset_lines(names: Iterable[str], shell: str) -> list[str]:
    """Return the lines that unset variables in *shell*."""
    return [f"set -e {name};" if shell == "fish" else f"unset {name}" for name in names]


def _fish_quoted(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
