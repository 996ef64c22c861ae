"""What can be wrong with kube-proxy and the rules of services."""

from __future__ import annotations

from kubedoctor import Check
from kubedoctor_proxy.leftovers import leftover_rules
from kubedoctor_proxy.running import not_running
from kubedoctor_proxy.service import kubernetes_service_missing

CHECKS: tuple[Check, ...] = (not_running, kubernetes_service_missing, leftover_rules)
