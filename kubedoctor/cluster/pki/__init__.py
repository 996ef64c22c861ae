"""The keys and certificates of a cluster, made in this process, kept while they are right.

`cryptography` is imported when something is issued, renewed or listed, not with this package.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import field
from datetime import datetime

from kubedoctor.components import Authority, Certificate
from kubedoctor.config import ClusterConfig
from kubedoctor.records import dataclass

ADMIN = Certificate(
    name="client-admin",
    authority=Authority.CLIENT,
    common_name="system:admin",
    organizations=("system:masters",),
    client=True,
)
"""The administrator the core always makes; subject as local-up-cluster.sh and kubeadm have it."""

SERVICE_ACCOUNT = "service-account"
"""Name of the key pair that signs and checks service-account tokens: .key, and .pub in PKIX form."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """What was done to the certificate directory."""

    reasons: Mapping[str, str] = field(default_factory=dict)  # why, by name without ending, for each that was written
    notes: tuple[str, ...] = ()  # lines for the user: what was replaced though it was there

    @property
    def renewed(self) -> tuple[str, ...]:
        """The names of authorities, leaves and `service-account` whose files changed; all of them the first time."""
        return tuple(self.reasons)


def issue(config: ClusterConfig, certificates: Iterable[Certificate], *, now: datetime | None = None) -> Issued:
    """Make the directory of `config.pki("")` hold the four authorities, the service-account key and *certificates*.

    What is there and still right is kept; `client-admin` is always among the leaves. Raise ConfigError for an authority
    of the user's own that cannot be used, PlanError for certificates that contradict each other, and KubedoctorError
    when an authority on disk is broken or the directory cannot be written: each file is then the old or the new one.
    """
    from kubedoctor.cluster.pki.issuing import issue_all

    return issue_all(config, certificates, now=now)
