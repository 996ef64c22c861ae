"""Whether kube-proxy runs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from kubedoctor import Context, Finding, check, host
from kubedoctor_proxy.service import kubernetes_service_missing


@check(
    "proxy.not-running",
    title="kube-proxy runs",
    looks_at="the process of the kube-proxy that should run here, and its state",
    fix="mend what its log names, then start it",
    seen_as=("new services do not answer, old ones do", "connection refused to pods that are gone"),
    of=("kube-proxy",),
    tags=("health", "network"),
)
def not_running(context: Context) -> Iterator[Finding]:
    """The rules of a kube-proxy that has ended stay, so all looks well until a service or a pod comes or goes.

    Then connections go to pods that are gone, and new services lead nowhere.
    """
    for instance in context.target.all("kube-proxy"):
        for finding in host.liveness_findings(instance):
            yield replace(finding, explains=(kubernetes_service_missing.id,))
