"""What is seen of etcd itself: its configuration file, the variables it would take."""

from __future__ import annotations

import os
from collections.abc import Mapping

from kubedoctor import Look, fact, host

PREFIX = "ETCD_"
_SECRET = frozenset({"initial-cluster-token", "auth-token", "discovery-password", "discovery-user"})


@fact("etcd.config-file")
def config_file(look: Look, path: str, root: int) -> Mapping[str, str]:
    """The settings in a configuration file of etcd, by the names of the flags."""
    del look
    document = host.parse_document(host.read_file(path, root=root, limit=256 << 10), host.printable(path))
    found = {}
    for section in (document, host.at(document, "client-transport-security")):
        for name, value in section.items() if isinstance(section, dict) else ():
            if isinstance(value, str | int | float) and name not in _SECRET:
                found[name] = str(value).lower() if isinstance(value, bool) else str(value)
    return found


@fact("etcd.our-environment")
def our_environment(look: Look) -> Mapping[str, str]:
    """The variables that an etcd started by hand would take from the environment we are run in."""
    del look
    named = [f"{name}={value}" for name, value in os.environ.items() if name.startswith(PREFIX)]
    return {name: value for name, _, value in (one.partition("=") for one in host.redacted(named))}
