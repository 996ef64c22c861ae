"""What an etcd is set to, and how it is asked: from its command line, its environment and its files."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from kubedoctor import Absent, Context, Denied, FactError, Instance, Target, host
from kubedoctor_etcd.facts import PREFIX, config_file

DEFAULTS = {
    "name": "default",
    "listen-client-urls": "http://localhost:2379",
    "listen-peer-urls": "http://localhost:2380",
}


@dataclass(frozen=True, slots=True)
class Etcd:
    """An etcd with its settings by the names of its flags; `file` is its configuration file, where it has one."""

    instance: Instance
    settings: Mapping[str, str]
    file: str = ""

    def get(self, name: str) -> str:
        """Return a setting, or what etcd takes without it."""
        return self.settings.get(name) or DEFAULTS.get(name, "")

    @property
    def data_directory(self) -> str:
        """The absolute path of its data directory; empty when its working directory is not known."""
        return self.instance.absolute(self.get("data-dir") or f"{self.get('name')}.etcd")

    @property
    def database(self) -> str:
        """The file that a running etcd has locked."""
        return posixpath.join(self.data_directory, "member/snap/db") if self.data_directory else ""

    def path(self, name: str) -> str:
        """Return the absolute path that a setting names; empty when there is none."""
        return self.instance.absolute(self.settings.get(name, ""))

    @property
    def where(self) -> str:
        """Where it is, in words: its process, or what says that it should run."""
        return f"etcd (pid {self.instance.pid})" if self.instance.is_running else f"etcd of {self.instance.source}"


def etcds(context: Context) -> Iterator[Etcd]:
    """Yield the target's etcds with their settings; raise FactError for a configuration file that cannot be read.

    A configuration file excludes flags and environment; a flag wins over its variable.
    """
    for instance in context.target.all("etcd"):
        yield etcd(context, instance)


def etcd(context: Context, instance: Instance) -> Etcd:
    """Return the etcd that the instance is."""
    flags = {name: values[-1] for name, values in instance.flags.items()}
    file = flags.get("config-file", "") or instance.environment.get(f"{PREFIX}CONFIG_FILE", "")
    if file:
        path = posixpath.join(instance.directory, file)
        return Etcd(instance, context.get(config_file, path, instance.root), path)
    if instance.is_running and not instance.environment and not flags.keys() >= {"data-dir", "listen-client-urls"}:
        seen_environment(context, instance)
    variables = {
        name.removeprefix(PREFIX).lower().replace("_", "-"): value
        for name, value in instance.environment.items()
        if name.startswith(PREFIX)
    }
    return Etcd(instance, {**variables, **flags})


def seen_environment(context: Context, instance: Instance) -> Mapping[str, str]:
    """Return the variables of a process as they are, of others as they would be; raise Denied for hidden ones."""
    if not instance.is_running:
        return instance.environment
    for process in context.get(host.processes):
        if process.pid == instance.pid:
            if process.environment is None:
                raise Denied(f"needs root to see the environment of process {instance.pid}, where settings may stand")
            return process.environment
    return {}  # it ended while we looked


def base_urls(one: Etcd) -> Iterator[str]:
    """Yield where health and metrics are told, the best first: where no certificate is asked for."""
    listened = [
        url.strip()
        for name in ("listen-metrics-urls", "listen-client-http-urls", "listen-client-urls")
        for url in one.get(name).split(",")
        if url.strip()
    ]
    reachable = [url for url in map(_reachable, listened) if url]
    yield from sorted(dict.fromkeys(reachable), key=lambda url: not url.startswith("http:"))


def _reachable(url: str) -> str:
    try:
        parts = urlsplit(url)
        host_name, port = parts.hostname or "", parts.port
    except ValueError:
        return ""
    if parts.scheme not in ("http", "https") or not port:
        return ""
    return host.reachable_url(parts.scheme, host_name, port)


def identities(target: Target, one: Etcd) -> Iterator[host.Identity]:
    """Yield as whom this etcd may answer: as kube-apiserver, as kubeadm's own health check, as itself."""
    for server in target.all("kube-apiserver"):
        certificate, key = server.path("etcd-certfile"), server.path("etcd-keyfile")
        if certificate and key:
            yield host.Identity(certificate=certificate, key=key, root=server.root)
    if authority := one.path("trusted-ca-file"):
        usual = posixpath.join(posixpath.dirname(authority), "healthcheck-client")
        yield host.Identity(certificate=f"{usual}.crt", key=f"{usual}.key", root=one.instance.root)
    if (certificate := one.path("cert-file")) and (key := one.path("key-file")):
        yield host.Identity(certificate=certificate, key=key, root=one.instance.root)


def way_in(context: Context, one: Etcd) -> tuple[str, host.Identity]:
    """Return the URL and the identity that this etcd is asked with; raise Denied when it answers nobody we can be."""
    problem: FactError = Absent(f"{one.where} has no address that can be asked")
    for url in base_urls(one):
        if url.startswith("http:"):
            return url, host.NOBODY
        for identity in (*identities(context.target, one), host.NOBODY):
            try:
                context.get(host.health, f"{url}/health", one.instance.net, identity)
            except Absent:
                continue
            except FactError as refused:
                problem = problem if isinstance(problem, Denied) else refused  # the first: a file, where there is one
                continue
            return url, identity
    raise problem
