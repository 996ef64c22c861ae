"""The environment in which programs reach a cluster from outside: its kubeconfig, and no proxy on the way."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

_PROXIES = ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "HTTP_PROXY", "http_proxy")


def variables(kubeconfig: str, address: str, environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables to be set for programs that talk to the cluster at *address* (a URL).

    Where a proxy is set in *environment*, the address is added to NO_PROXY in both spellings: programs differ in which
    they read, and in whether they take a proxy for 127.0.0.1.
    """
    found = {"KUBECONFIG": kubeconfig}
    host = urlsplit(address).hostname or "127.0.0.1"
    if any(environment.get(name) for name in _PROXIES):
        known = environment.get("NO_PROXY") or environment.get("no_proxy") or ""
        names = [name.strip() for name in known.split(",") if name.strip()]
        if host not in names and "*" not in names:
            found["NO_PROXY"] = found["no_proxy"] = ",".join([*names, host])
    return found
