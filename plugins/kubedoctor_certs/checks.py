"""What can be wrong with certificates, keys and kubeconfigs."""

from __future__ import annotations

from kubedoctor import Check
from kubedoctor_certs import dates, issuers, kubeconfigs, pairs, sans

CHECKS: tuple[Check, ...] = (
    *kubeconfigs.CHECKS,
    *dates.CHECKS,
    *pairs.CHECKS,
    *issuers.CHECKS,
    *sans.CHECKS,
)
