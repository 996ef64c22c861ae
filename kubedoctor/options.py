"""How an option of a cluster is declared: its default, its documentation, and the names it is read under."""

from __future__ import annotations

from dataclasses import field
from enum import StrEnum
from typing import Any


class Form(StrEnum):
    """What a text or number has to look like, beyond its type; the value is its name in help texts."""

    ANY = ""
    FILE = "FILE"  # has to be there before the cluster starts; made absolute
    PATH = "PATH"  # a file or directory that may be made; made absolute
    DIRECTORY = "DIR"  # has to be there; made absolute
    PORT = "PORT"
    ADDRESS = "ADDRESS"  # an IP address
    HOST = "HOST"  # an IP address or a host name
    CIDR = "CIDR"  # one range, or one of each family with a comma
    URL = "URL"
    DURATION = "DURATION"  # Go's: 15s, 1m30s
    VMODULE = "PATTERN=N,…"
    SECONDS = "SECONDS"
    LEVEL = "N"


def option(
    default: Any,
    *,
    help: str,  # noqa: A002 - click's own word
    env: tuple[str, ...] = (),
    flag: str = "",
    form: Form = Form.ANY,
    choices: tuple[str, ...] = (),
    port_of: str = "",
) -> Any:
    """Return a dataclass field that carries its documentation and the environment names it is honoured under.

    `KUBEDOCTOR_<FIELD>` is honoured for every option and comes first; *env* holds the names of local-up-cluster.sh
    and of its guides, the first of them taken when several are set. *flag* names the command-line option where it is
    not `--<field>`; "-" means there is none. *port_of* names the component whose outside port this is, for
    `--set C.port=N`.
    """
    metadata = {"help": help, "env": env, "flag": flag, "form": form, "choices": choices, "port_of": port_of}
    if isinstance(default, (dict, list)):
        return field(default_factory=type(default), metadata=metadata)
    return field(default=default, metadata=metadata)
