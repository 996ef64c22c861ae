"""What components say of themselves over HTTP: health endpoints, metrics."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import field

from kubedoctor.facts import Denied, Look, Malformed, Silent, fact
from kubedoctor.host.api import read_access
from kubedoctor.host.http import HttpAnswer, Tls, http_request, tls_files
from kubedoctor.host.redaction import redacted
from kubedoctor.records import dataclass
from kubedoctor.targets import Instance

_TEXT = 64 << 10
"""Bytes of a health endpoint's answer; kube-apiserver's longest has 3 KiB."""
_METRICS = 16 << 20
_SAMPLES = 1000
_SAMPLE = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)(?: \d+)?")
_PORT = re.compile(r"[1-9][0-9]{0,4}")
_LABEL = re.compile(r'(?<!\w)([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\.)*)"')


def reachable_url(scheme: str, address: str, port: int) -> str:
    """Return the URL of a server that listens on an address; wildcards are reached by loopback."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address, address)  # noqa: S104 - nothing is bound
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def secure_address(instance: Instance, address: str, port: int) -> tuple[str, int]:
    """Return where a component of Kubernetes serves by --bind-address and --secure-port, else the defaults given."""
    told = instance.flag("secure-port")
    return instance.flag("bind-address", address), int(told) if _PORT.fullmatch(told) else port


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """What a health endpoint answered; without an answer `status` is 0 and `problem` says why."""

    status: int = 0
    text: str = ""
    problem: str = ""

    @property
    def is_well(self) -> bool:
        """Return whether it said so."""
        return self.status == 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One value of a metric."""

    name: str
    value: float
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """As whom to ask: files with a certificate and its key, or a kubeconfig that leads to them, seen from *root*.

    The server may be of any authority, so nothing but a certificate is shown to it, never a token.
    """

    certificate: str = ""
    key: str = ""
    kubeconfig: str = ""
    root: int = 0

    def tls(self) -> Tls:
        """Return what is in the files; raise Absent, Denied, Malformed."""
        if not self.kubeconfig:
            return tls_files(certificate=self.certificate, key=self.key, root=self.root)
        access = read_access(self.kubeconfig, self.root)
        if not access.has_certificate:
            raise Denied(f"needs a kubeconfig with a client certificate, which {self.kubeconfig} has not")
        return Tls(certificate=access.tls.certificate, key=access.tls.key)


NOBODY = Identity()


@fact("host.health")
def health(look: Look, url: str, net: int, identity: Identity = NOBODY) -> Health:
    """What a health endpoint says; that it does not answer, or not in HTTP, is a value too.

    Raise Denied when it answers others only, and what reading the identity raises.
    """
    del look
    tls = identity.tls()
    try:
        answer = http_request(url, net=net, tls=tls, limit=_TEXT)
    except (Silent, Malformed) as problem:
        return Health(problem=problem.reason)
    return Health(status=answer.status, text=redacted([answer.text])[0])


@fact("host.metrics")
def metrics(look: Look, url: str, net: int, names: tuple[str, ...], identity: Identity = NOBODY) -> tuple[Sample, ...]:
    """The samples of these metrics (whole names), in the order of the page.

    Raise Denied when it tells them to others only; Silent, Malformed, and what reading the identity raises.
    """
    del look
    answer = http_request(url, net=net, tls=identity.tls(), limit=_METRICS)
    if answer.status in (401, 403):
        raise Denied(f"needs an administrator's kubeconfig to read {url}")
    if answer.status != 200:
        raise Malformed(f"{url} answers {answer.status}: {_first_line(answer)}")
    return tuple(parse_samples(answer.text, names))


def parse_samples(text: str, names: tuple[str, ...]) -> Iterator[Sample]:
    """Yield the samples of these metrics (whole names) on a page in Prometheus' text form; raise Malformed."""
    count = 0
    for line in text.split("\n"):
        if not line.startswith(names):  # nearly all: a page has thousands of lines
            continue
        found = _SAMPLE.fullmatch(line)
        if not found or found[1] not in names:
            continue
        try:
            value = float(found[3])
        except ValueError:
            raise Malformed(f"the metric {found[1]} has a value that is no number") from None
        if not math.isfinite(value):  # says nothing, and has no form in JSON
            continue
        count += 1
        if count > _SAMPLES:
            raise Malformed(f"the metric {found[1]} has more than {_SAMPLES} samples")
        yield Sample(name=found[1], value=value, labels=dict(_LABEL.findall(found[2] or "")))


def _first_line(answer: HttpAnswer) -> str:
    return redacted([answer.text.strip().partition("\n")[0]])[0][:100]
