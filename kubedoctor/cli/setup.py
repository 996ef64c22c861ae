"""`kubedoctor setup`: make this machine able to run a node."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import click

from kubedoctor.cli.app import App, pass_app
from kubedoctor.cli.console import table
from kubedoctor.errors import ExitCode, KubedoctorError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kubedoctor.cluster.setup.missing import Missing, Step, Wish


@click.command("setup")
@click.option("--dry-run", is_flag=True, help="tell what is missing and what would be run, run nothing")
@click.option("-y", "--yes", is_flag=True, help="do not ask")
@click.option("--user", metavar="NAME", default="", help="for a node of this ordinary user [whoever runs it]")
@click.option(
    "--kube-proxy-mode",
    "mode",
    envvar="KUBE_PROXY_MODE",
    type=click.Choice(["iptables", "nftables", "ipvs"]),
    help="how services are going to be made",
)
@pass_app
def setup(app: App, dry_run: bool, yes: bool, user: str, mode: str | None) -> int:
    """Make this machine able to run a node: install and set what is missing.

    Shows every command before it runs any, asks, and looks again afterwards. What a control plane alone needs is
    always there.
    """
    from kubedoctor.cluster.setup.missing import Wish, current_user, missing_for_node, steps_for

    wish = Wish(proxy_mode=mode or "", user=_known(user) or current_user())
    whose = f"a node of {wish.user}" if wish.user else "a node"
    missing = missing_for_node(wish)
    needed = [one for one in missing if not one.optional]
    if not needed:
        app.console.say(f"nothing is missing: {whose} can run here")
        _show_optional(app, missing)
        return ExitCode.OK
    _show(app, f"missing for {whose}:", needed)
    steps = [_as_root(step) for step in steps_for(needed)]
    if steps:
        app.console.data("\nto be run:" if not dry_run else "\nwould be run:")
        for step in steps:
            app.console.data(f"  {step}")
    if dry_run:
        return ExitCode.OK
    if not steps:
        raise KubedoctorError("nothing of that can be installed or set by a command", hint=_advice(needed))
    _insist_on_root(wish)
    if not yes:
        _ask()
    for step in steps:
        _run(app, step)
    left = [one for one in missing_for_node(wish) if not one.optional]
    if left:
        raise KubedoctorError(
            f"still missing: {', '.join(one.what for one in left)}",
            hint=_advice(left) or "what the commands said is above",
        )
    app.console.say(f"done: {whose} can run here")
    return ExitCode.OK


def _known(user: str) -> str:
    import pwd

    if not user:
        return ""
    try:
        found = pwd.getpwnam(user)
    except KeyError:
        raise UsageError(f"there is no user `{user}`") from None
    return "" if found.pw_uid == 0 else user


def _show(app: App, title: str, missing: Sequence[Missing]) -> None:
    app.console.data(title)
    rows = [(one.what, one.why, " ".join(one.packages) or one.advice) for one in missing]
    app.console.data(table(rows, indent=2))


def _show_optional(app: App, missing: Sequence[Missing]) -> None:
    for one in missing:
        app.console.say(f"  {one.what} would be good to have, {one.why}: {' '.join(one.packages) or one.advice}")


def _advice(missing: Sequence[Missing]) -> str:
    return "\n".join(dict.fromkeys(one.advice for one in missing if one.advice))


def _as_root(step: Step) -> Step:
    """Return *step* as this user has to call it."""
    from dataclasses import replace

    tool = "" if os.geteuid() == 0 else _way_to_root()
    return replace(step, argv=(tool, *step.argv)) if tool else step


def _insist_on_root(wish: Wish) -> None:
    if os.geteuid() != 0 and not _way_to_root():
        raise KubedoctorError(
            "only root can do that, and there is no sudo", hint=f"as root: kubedoctor setup --user {wish.user}"
        )


def _way_to_root() -> str:
    from kubedoctor.cluster.setup.machine import Machine

    return next((name for name in ("sudo", "doas") if Machine().program(name)), "")


def _ask() -> None:
    if not sys.stdin.isatty():
        raise UsageError("nobody can be asked: stdin is no terminal", hint="kubedoctor setup --yes")
    if not click.confirm("\nrun them?", default=True, err=True):
        raise click.Abort


def _run(app: App, step: Step) -> None:
    """Run a command with its output on stderr; raise KubedoctorError when it fails."""
    app.console.say(f"\n$ {step}")
    try:
        done = subprocess.run(
            step.argv, input=step.text.encode() if step.text else None, stdout=sys.stderr.fileno(), check=False
        )
    except OSError as problem:
        raise KubedoctorError(f"{step.argv[0]}: {problem.strerror}", hint="run the commands above as root") from None
    if done.returncode != 0:
        raise KubedoctorError(f"`{step}` failed: exit status {done.returncode}", hint="what it said is above")
