"""`kubedoctor publish`: a port of the inside made reachable outside while the cluster runs."""

from __future__ import annotations

import errno
import socket

import click

from kubedoctor.cli.app import App, pass_app
from kubedoctor.cli.names import cluster_option
from kubedoctor.cli.running import running
from kubedoctor.configuration.wishes import parse_publish
from kubedoctor.errors import KubedoctorError, UsageError


@click.command("publish")
@click.argument("port", metavar="[ADDRESS:][OUTSIDE:]INSIDE")
@cluster_option
@pass_app
def publish(app: App, port: str, name: str) -> None:
    """Make a port of the inside reachable outside, until `unpublish` or `down`.

    On the host's loopback and a free port, unless said otherwise. Prints the address.
    """
    from kubedoctor.cluster.session import keeper_of

    wish = parse_publish(port)
    _, status = running(name)
    if status.places[0].kind == "host":
        raise UsageError(f"cluster `{name}` runs on the host itself: its ports are the host's")
    listener = _bind(name, wish.address, wish.outside, wish.inside)
    with listener, keeper_of(name) as keeper:
        outside = listener.getsockname()[1]
        keeper.request("publish", inside=wish.inside, outside=outside, descriptors=[listener.fileno()])
    host = f"[{wish.address}]" if ":" in wish.address else wish.address
    app.console.data(f"{host}:{outside}")
    app.console.say(f"port {wish.inside} of the inside, until `kubedoctor unpublish {outside}` or `down`")


def _bind(name: str, address: str, outside: int, inside: int) -> socket.socket:
    from kubedoctor.cluster import ports
    from kubedoctor.cluster.clusterfile import ports_of_others
    from kubedoctor.cluster.planning.ports import PortWish
    from kubedoctor.host.owner import describe, owner_of

    if not outside:
        wish = PortWish(key=f"publish.{inside}", address=address, outside=0, exact=False)
        openings, _ = ports.open_all([wish], default_cluster=False, kept={}, avoid=ports_of_others(name))
        return openings[0].listener
    try:
        return ports.bind(address, outside)
    except OSError as problem:
        if problem.errno == errno.EADDRINUSE:
            owner = owner_of(outside, address)
            raise KubedoctorError(
                f"port {outside} is taken by {describe(owner)}",
                hint=f"let kubedoctor choose: kubedoctor publish {inside} --name {name}",
            ) from None
        raise UsageError(f"{address}:{outside} cannot be listened on: {problem.strerror}") from None
