"""`kubedoctor enter`: a shell, or a command, inside the sandbox."""

from __future__ import annotations

import os
import shutil
import sys
from typing import TYPE_CHECKING

import click

from kubedoctor.cli.app import App, pass_app
from kubedoctor.cli.names import cluster_option
from kubedoctor.cli.running import running
from kubedoctor.errors import KubedoctorError

if TYPE_CHECKING:
    from kubedoctor.cluster.paths import ClusterPaths


@click.command("enter", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@cluster_option
@click.argument("command", nargs=-1, type=click.UNPROCESSED, metavar="[COMMAND]...")
@pass_app
def enter(app: App, name: str, command: tuple[str, ...]) -> int:
    """Run a command inside the sandbox of a cluster, by default your shell.

    It sees what the components see: their network, processes, mounts and host name. Files are at the same paths as
    outside. PATH has the programs of the cluster too, such as ctr. KUBECONFIG leads to
    the API as it is reached inside. Its exit status is the command's.
    """
    from kubedoctor.cluster.namespaces import run_inside

    cluster, status = running(name)
    place = status.places[0]
    argv = command or (_shell(),)
    environment = {**os.environ, **_variables(cluster, status.kubeconfig)}
    sys.stdout.flush()
    if place.kind == "host":
        app.console.say(f"cluster `{name}` runs on the host itself: there is no sandbox to enter")
        try:
            os.execvpe(argv[0], list(argv), environment)  # noqa: S606 - no shell is wanted
        except OSError as problem:
            raise KubedoctorError(f"{argv[0]}: {problem.strerror}") from problem
    return run_inside(place.supervisor, argv, environment)


def _shell() -> str:
    return shutil.which(os.environ.get("SHELL", "")) or "/bin/sh"


def _variables(cluster: ClusterPaths, kubeconfig: str) -> dict[str, str]:
    """Return the variables of the inside; the kubeconfig for the address inside is written when it is first needed."""
    from kubedoctor.cluster.kubeconfig import write_kubeconfig
    from kubedoctor.cluster.status import INSIDE, read_plan

    paths = cluster.place()
    plan = read_plan(paths)
    variables = {"KUBECONFIG": kubeconfig, INSIDE: cluster.name, "PATH": _path(plan.get("components"))}
    api = plan.get("api")
    # Root writes nothing into the directory of another user, who could have put a link in its way.
    is_ours = paths.config.is_dir() and paths.config.stat().st_uid == os.geteuid()
    inside = paths.config / "inside.kubeconfig"
    if not is_ours:
        variables["KUBECONFIG"] = str(inside) if inside.is_file() else kubeconfig
    elif isinstance(api, dict) and all(api.get(name) for name in ("port", "ca_file", "cert_file", "key_file")):
        address = str(api.get("server_name") or api.get("address") or "127.0.0.1")
        host = f"[{address}]" if ":" in address else address
        write_kubeconfig(
            inside,
            server=f"https://{host}:{api['port']}",
            ca_file=str(api["ca_file"]),
            cert_file=str(api["cert_file"]),
            key_file=str(api["key_file"]),
            cluster=cluster.name,
            user="admin",
            embed=False,
        )
        variables["KUBECONFIG"] = str(inside)
    for proxy in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "HTTP_PROXY", "http_proxy"):
        if os.environ.get(proxy):  # it cannot be reached from inside
            variables["NO_PROXY"] = variables["no_proxy"] = "*"
    return variables


def _path(components: object) -> str:
    """Return PATH with what an ordinary user's lacks (nft, iptables), and with the components' programs at the end."""
    from kubedoctor.cluster.planning.environment import SYSTEM_PATH

    listed = components if isinstance(components, list) else []
    binaries = [one.get("binary") for one in listed if isinstance(one, dict)]
    ours = [os.path.dirname(path) for path in binaries if isinstance(path, str) and path.startswith("/")]  # noqa: PTH120
    return ":".join(dict.fromkeys([*filter(None, os.environ.get("PATH", "").split(":")), *SYSTEM_PATH, *ours]))
