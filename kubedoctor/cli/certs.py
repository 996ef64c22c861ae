"""`kubedoctor certs`: the certificates of a cluster."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from kubedoctor.cli.app import App, pass_app
from kubedoctor.cli.console import table
from kubedoctor.cli.names import cluster_option
from kubedoctor.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from kubedoctor.cluster.pki.listing import Listed

_DAY = 24 * 3600
_SANS_WIDTH = 48


@click.group("certs")
def certs() -> None:
    """List and renew the certificates of a cluster."""


@certs.command("list", short_help="list certificates with their expiry")
@cluster_option
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", help="form of the list")
@pass_app
def list_(app: App, name: str, output: str) -> int:
    """List the certificates: when each expires, what it is for, who signed it.

    Exits with 1 when one has expired or cannot be used. `up` renews those with less than a fifth of their life left.
    """
    from kubedoctor.cluster.certificates import settled
    from kubedoctor.cluster.pki.listing import list_certificates
    from kubedoctor.cluster.status import existing

    directory = Path(settled(existing(name)).pki(""))
    certificates = list_certificates(directory) if directory.is_dir() else ()
    if output == "json":
        document = {"schema_version": 1, "kind": "Certificates", "cluster": name, "directory": str(directory)}
        app.console.json({**document, "certificates": certificates})
    elif certificates:
        app.console.data(as_text(certificates))
        app.console.say(f"\nin {directory}")
    else:
        app.console.say(f"{directory} holds no certificates yet")
    return ExitCode.NOT_WELL if any(one.problem for one in certificates) else ExitCode.OK


def as_text(certificates: tuple[Listed, ...]) -> str:
    """Return the list for a person; a line below tells of each that is not well."""
    headers = ("certificate", "expires in", "usage", "key", "issuer", "names")
    text = table([_row(one) for one in certificates], headers)
    problems = [f"{one.name}: {one.problem}" for one in certificates if one.problem]
    return "\n".join([text, *([""] if problems else []), *problems])


def _row(one: Listed) -> tuple[str | None, ...]:
    issuer = "itself" if one.issuer == one.subject else one.issuer.removeprefix("CN=")
    return (
        one.name,
        time_left(one),
        ", ".join(one.usages) or None,
        one.key or None,
        issuer if one.subject else None,
        shortened(one.sans) or None,
    )


def time_left(one: Listed) -> str | None:
    """Return how long it is good for: days, the hours of the last two, or `expired`."""
    if one.seconds_left is None:
        return None
    if one.seconds_left <= 0:
        return "expired"
    left = f"{one.seconds_left / _DAY:.0f} d" if one.seconds_left >= 2 * _DAY else f"{one.seconds_left / 3600:.0f} h"
    return f"{left}, soon" if one.ending else left


def shortened(sans: tuple[str, ...]) -> str:
    """Return as many of *sans* as fit into a column, and how many there are beside."""
    shown: list[str] = []
    for index, san in enumerate(sans):
        if shown and len(", ".join([*shown, san])) > _SANS_WIDTH:
            return f"{', '.join(shown)} +{len(sans) - index}"
        shown.append(san)
    return ", ".join(shown)


@certs.command("renew", short_help="renew certificates, or an authority and all it signed")
@click.argument("names", nargs=-1, metavar="[CERTIFICATE]...")
@click.option("--all", "every", is_flag=True, help="renew every certificate, but no authority")
@cluster_option
@pass_app
def renew(app: App, names: tuple[str, ...], every: bool, name: str) -> int:
    """Renew certificates, with the names they have.

    An authority (server-ca, client-ca, request-header-ca, etcd-ca) is renewed with a new key, and every certificate it
    signed with it. Components read their certificates when they start: those that have to be restarted are named.
    """
    if bool(names) == every:
        raise UsageError(
            "name the certificates to renew, or --all" if not names else "name certificates or --all, not both",
            hint="`kubedoctor certs list` shows them",
        )
    from kubedoctor.cluster import certificates, kubeconfig_merge
    from kubedoctor.cluster.status import existing

    paths = existing(name)
    renewal = certificates.renew(paths, names)
    for note in renewal.issued.notes:
        app.console.say(note)
    for renewed in renewal.issued.renewed:
        app.console.data(f"renewed {renewed}")
    kubeconfig = Path(certificates.settled(paths).kubeconfig("admin"))
    for merged in kubeconfig_merge.refresh(paths, kubeconfig=kubeconfig):
        app.console.data(f"updated {merged.path}")
    if renewal.components:
        option = "" if name == "local" else f" --name {name}"
        app.console.say("\nin a running cluster these still use the old ones:")
        app.console.say(f"  kubedoctor restart{option} {' '.join(renewal.components)}")
    return ExitCode.OK
