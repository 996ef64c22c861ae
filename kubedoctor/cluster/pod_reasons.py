"""Why the pods of a manifest are not ready: what the API says of them, asked when `up` has waited for too long."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from kubedoctor.cluster.documents import Plan, PlannedManifest
from kubedoctor.cluster.http import Connection, tls_context

PATIENCE = 2.0
"""Seconds for each answer: `up` has waited for long enough by now."""
_LONGEST = 300
"""Characters of one message: what a runtime says is nested, and the beginning and the end of it tell."""
_UNTOLD = frozenset({"ContainerCreating", "PodInitializing"})
"""Reasons that say only that something before has not been done: who does it tells why in an event."""

Ask = Callable[[str], Any]
"""Returns what the API answers to a path, as JSON; raises OSError or ValueError."""


def reason(plan: Plan, name: str) -> str:
    """Return why a pod of the manifest *name* is not ready, in one line; "" where that cannot be told.

    The API is asked where it is published.
    """
    manifest = next((one for one in plan.manifests if one.name == name), None)
    where = _published(plan)
    if manifest is None or where is None or plan.api is None:
        return ""
    try:
        context = tls_context(plan.api.ca_file, plan.api.cert_file, plan.api.key_file)
        connection = Connection(*where, context, timeout=PATIENCE)
        try:
            return told_of(manifest, lambda path: json.loads(connection.request("GET", path).body))
        finally:
            connection.close()
    except (OSError, ValueError):  # the error is about the cluster that is not ready, whatever else fails
        return ""


def _published(plan: Plan) -> tuple[str, int] | None:
    """Return where the API is outside of the place; None for one that runs elsewhere."""
    api = plan.api
    ports = (port for one in plan.components for port in one.ports if api is not None and port.inside == api.port)
    return next(((port.outside_address, port.outside) for port in ports if port.outside), None)


def told_of(manifest: PlannedManifest, ask: Ask) -> str:
    """Return what is told of the first pod of *manifest* that is not ready, or of there being none; "" when all are."""
    for path, item in zip(manifest.paths, manifest.objects, strict=True):
        labels = _at(item, "spec", "selector", "matchLabels")
        if not isinstance(labels, Mapping) or _at(item, "spec", "template") is None:
            continue  # nothing that makes pods
        namespace = quote(_text(_at(item, "metadata", "namespace")) or "default", safe="")
        selector = quote(",".join(f"{key}={value}" for key, value in labels.items()), safe="")
        pods = _at(ask(f"/api/v1/namespaces/{namespace}/pods?labelSelector={selector}&limit=20"), "items")
        if pods == []:
            return _told_of_none(ask(path))
        for pod in _list(pods):  # of an error there are none, and nothing is known
            if _condition(pod, "Ready").get("status") != "True":
                uid = quote(_text(_at(pod, "metadata", "uid")), safe="")
                query = f"fieldSelector=involvedObject.uid%3D{uid}%2Ctype%3DWarning&limit=50"
                return told_of_pod(pod, _list(_at(ask(f"/api/v1/namespaces/{namespace}/events?{query}"), "items")))
    return ""


def _told_of_none(workload: Any) -> str:
    failed = _condition(workload, "ReplicaFailure")
    return f"it has no pod: {_sentence(failed)}" if failed.get("status") == "True" else "it has no pod yet"


def told_of_pod(pod: Any, warnings: Sequence[Any]) -> str:
    """Return what the scheduler, the runtime and the last of *warnings*, events of the pod, say of it."""
    words = list(dict.fromkeys(_told_of_containers(pod)))
    scheduled = _condition(pod, "PodScheduled")
    if not words and scheduled.get("status") == "False":
        words = [_sentence(scheduled)]
    told = [word for word in words if word not in _UNTOLD] or words[:1]
    last = max(warnings, key=_time, default=None)
    if last is not None and not any(_text(_at(last, "message")) in word for word in told):
        told.append(_sentence(last))
    return f"pod {_text(_at(pod, 'metadata', 'name'))}: {'; '.join(told) or 'it does not say why'}"


def _told_of_containers(pod: Any) -> Iterator[str]:
    for kind in ("initContainerStatuses", "containerStatuses"):
        for status in _list(_at(pod, "status", kind)):
            waiting, ended = _at(status, "state", "waiting"), _at(status, "state", "terminated")
            before = _at(status, "lastState", "terminated")
            if isinstance(waiting, Mapping):
                yield _sentence(waiting)
                if isinstance(before, Mapping):
                    yield f"before it {_ending(before)}"
            elif isinstance(ended, Mapping):
                if ended.get("exitCode") != 0:
                    yield f"it {_ending(ended)}"
            elif _at(status, "ready") is False:
                yield "it runs and is not ready"


def _ending(terminated: Mapping[str, Any]) -> str:
    """Return how a container ended: Kubernetes' reason says more than the status only when it is a special one."""
    why = _text(terminated.get("reason"))
    special = f" ({why})" if why not in ("", "Error", "Completed") else ""
    last_words = _text(terminated.get("message"))
    return f"ended with exit status {terminated.get('exitCode')}{special}" + (f": {last_words}" if last_words else "")


def _sentence(said: Mapping[str, Any]) -> str:
    """Return the reason and the message of whatever has both."""
    return ": ".join(filter(None, (_text(_at(said, "reason")), _text(_at(said, "message")))))


def _condition(item: Any, kind: str) -> Mapping[str, Any]:
    return next((one for one in _list(_at(item, "status", "conditions")) if _at(one, "type") == kind), {})


def _time(event: Any) -> str:
    """Return when an event was seen last, as RFC 3339 in UTC: such times are in the order of their letters."""
    times = (_at(event, "lastTimestamp"), _at(event, "eventTime"), _at(event, "metadata", "creationTimestamp"))
    return next((_text(time) for time in times if time), "")


def _at(value: Any, *keys: str) -> Any:
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _text(value: Any) -> str:
    """Return a text in one line, with its middle left out where it is long; "" for what is none."""
    line = " ".join(value.split()) if isinstance(value, str) else ""
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST // 2]} … {line[-_LONGEST // 2 :]}"
