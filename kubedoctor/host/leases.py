"""Leader leases, and how an API answers those who ask for them."""

from __future__ import annotations

import calendar
import json
import math
import re
from typing import Any

from kubedoctor.facts import Denied, Look, Malformed, Silent, fact
from kubedoctor.host.api import api_get, read_access
from kubedoctor.host.documents import Value, at
from kubedoctor.host.errors import printable
from kubedoctor.records import dataclass

_WATCHED = 3
"""Seconds a lease is watched: one more than between two renewals."""
_HTTP_DATE = re.compile(r"\w{3}, (\d\d) (\w{3}) (\d{4}) (\d\d):(\d\d):(\d\d) GMT", re.ASCII)
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_TIME = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(\.\d{1,9})?Z", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiReply:
    """How an API answered: `message` is what it said of a refusal; without an answer `status` is 0, and it says why."""

    status: int = 0
    message: str = ""

    @property
    def is_refusal(self) -> bool:
        """Return whether it does not know who asks, or does not let them."""
        return self.status in (401, 403)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """A leader lease. `age` is the seconds since it was last written, `acquired` the holder's time of taking it.

    The age is told by the server's own clock alone, so that a holder's clock does not matter.
    """

    holder: str
    duration: float  # seconds
    acquired: float = 0.0  # since the epoch; 0: it does not say
    age: float = 0.0
    transitions: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseView:
    """A lease as one kubeconfig sees it; None when there is none, or the reply is no yes."""

    reply: ApiReply
    lease: Lease | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiAddresses:
    """Where the service `kubernetes` leads to."""

    reply: ApiReply
    addresses: tuple[str, ...] = ()


@fact("host.api-addresses")
def api_addresses(look: Look, kubeconfig: str, root: int, net: int) -> ApiAddresses:
    """The addresses of all kube-apiservers, as they are written into the endpoints of the service `kubernetes`."""
    del look
    service = "labelSelector=kubernetes.io%2Fservice-name%3Dkubernetes"
    path = f"/apis/discovery.k8s.io/v1/namespaces/default/endpointslices?{service}"
    reply, document, _ = ask_api(kubeconfig, root, net, path)
    found: list[str] = []
    for item in api_items(document):
        endpoints = at(item, "endpoints")
        for endpoint in endpoints if isinstance(endpoints, list) else []:
            addresses = at(endpoint, "addresses")
            found += [one for one in addresses if isinstance(one, str)] if isinstance(addresses, list) else []
    return ApiAddresses(reply=reply, addresses=tuple(dict.fromkeys(found)))


def api_items(document: Value) -> list[Value]:
    """Return the items of a list that the API answered, none for another document."""
    found = at(document, "items")
    return found if isinstance(found, list) else []


@fact("host.lease")
def lease(look: Look, kubeconfig: str, root: int, net: int, namespace: str, name: str) -> LeaseView:  # noqa: ARG001
    """A lease of the API, asked for with the kubeconfig of *root* in the network namespace of *net*."""
    path = f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases/{name}"
    reply, document, now = ask_api(kubeconfig, root, net, path)
    if reply.status != 200:
        return LeaseView(reply=reply)
    return LeaseView(reply=reply, lease=_lease(document, now))


@fact("host.lease-renewal")
def lease_renewal(look: Look, kubeconfig: str, root: int, net: int, namespace: str, name: str) -> bool:
    """Whether a lease is written while we look, 3 s at most: a leader that lives renews it every 2.

    Raise Silent and Denied when the API does not say.
    """
    del look
    path = f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"
    selected = f"fieldSelector=metadata.name%3D{name}"
    reply, document, _ = ask_api(kubeconfig, root, net, f"{path}?{selected}")
    if reply.status == 200:
        version = at(document, "metadata", "resourceVersion")
        watch = f"watch=true&timeoutSeconds={_WATCHED}&resourceVersion={version}"
        answer = api_get(
            read_access(kubeconfig, root), f"{path}?{selected}&{watch}", net=net, root=root, deadline=_WATCHED + 1.0
        )
        if answer.status == 200:
            return bool(answer.body.strip())
        reply = ApiReply(status=answer.status, message="it does not let us watch")
    if reply.is_refusal:
        raise Denied(f"needs an administrator's kubeconfig to watch the lease {name}")
    raise Silent(f"the API says of the lease {name}: {reply.message or reply.status}")


def ask_api(kubeconfig: str, root: int, net: int, path: str, *, limit: int = 1 << 20) -> tuple[ApiReply, Value, float]:
    """Return the reply to a GET, the JSON it came with, and the server's time (0: it did not say).

    Raise Absent, Denied, Malformed for the kubeconfig; that nobody answers is a reply.
    """
    access = read_access(kubeconfig, root)
    try:
        answer = api_get(access, path, net=net, root=root, limit=limit)
    except (Silent, Malformed) as problem:
        return ApiReply(message=problem.reason), None, 0.0
    document = _json(answer.body)
    told = at(document, "message")
    message = printable(told) if isinstance(told, str) and answer.status != 200 else ""
    return ApiReply(status=answer.status, message=message), document, http_date(answer.headers.get("date", ""))


def _json(body: bytes) -> Value:
    try:
        document: Value = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return document


def _lease(document: Value, now: float) -> Lease:
    spec = at(document, "spec")
    renewed = api_time(at(spec, "renewTime"))
    entries = at(document, "metadata", "managedFields")
    written = (
        max((api_time(at(one, "time")) for one in entries if one), default=0.0) if isinstance(entries, list) else 0
    )
    last = written or renewed
    return Lease(
        holder=printable(_text(at(spec, "holderIdentity"))),
        duration=_number(at(spec, "leaseDurationSeconds")),
        acquired=api_time(at(spec, "acquireTime")),
        age=max(0.0, now - last) if now and last else 0.0,
        transitions=int(_number(at(spec, "leaseTransitions"))),
    )


def _text(value: Value) -> str:
    return value if isinstance(value, str) else ""


def _number(value: Value) -> float:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) and abs(value) < 1e15 else 0.0


def api_time(value: Any) -> float:
    """Return an RFC 3339 time in UTC, as the API writes them, in seconds since the epoch; 0 for what is none."""
    found = _TIME.fullmatch(value) if isinstance(value, str) else None
    if not found:
        return 0.0
    return _epoch(*map(int, found.groups()[:6])) + float(found[7] or 0)


def http_date(value: str) -> float:
    """Return the time of a `Date` header in seconds since the epoch; 0 for what is none."""
    found = _HTTP_DATE.fullmatch(value)
    if not found or found[2] not in _MONTHS:
        return 0.0
    day, _, year, hour, minute, second = found.groups()
    return _epoch(int(year), _MONTHS.index(found[2]) + 1, int(day), int(hour), int(minute), int(second))


def _epoch(*moment: int) -> float:
    try:
        return float(calendar.timegm((*moment, 0, 0, 0)))
    except ValueError:  # a month or year that there is not
        return 0.0
