"""What follows from a certificate that is no good."""

from __future__ import annotations

import pytest
from kubedoctor_certs.consequences import API, WORK, of_edge, of_shown
from kubedoctor_certs.sources import Edge, Shown, Source, Trusted, Use

FILE = Source("/pki/x.crt")


def shown(who: str, what: str, use: Use) -> Shown:
    return Shown(who, what, use, FILE)


@pytest.mark.parametrize(
    ("one", "checks"),
    [
        (shown("kube-scheduler", "client certificate", Use.CLIENT), ("scheduler.not-working",)),
        (shown("kube-apiserver", "client certificate to etcd", Use.CLIENT), ("apiserver.not-ready",)),
        (shown("kube-apiserver", "client certificate to kubelets", Use.CLIENT), ()),
        (shown("kube-apiserver", "serving certificate", Use.SERVER), API),
        (shown("etcd", "serving certificate", Use.SERVER), ("etcd.unhealthy", "apiserver.not-ready")),
        (shown("kube-scheduler", "serving certificate", Use.SERVER), ()),
        (shown("kubectl", "client certificate", Use.CLIENT), ()),
        (shown("kube-controller-manager", "signing certificate", Use.SIGNER), ()),
    ],
)
def test_who_shows_it_tells_which_checks_fail(one: Shown, checks: tuple[str, ...]) -> None:
    assert of_shown(one) == checks


def test_between_two_it_is_the_client_that_does_not_work() -> None:
    server = shown("kube-apiserver", "serving certificate", Use.SERVER)
    client = shown("kube-scheduler", "client certificate", Use.CLIENT)
    refusing = Edge(server, Trusted("kube-controller-manager", FILE, "certificate-authority"), "x")
    refused = Edge(client, Trusted("kube-apiserver", FILE, "--client-ca-file"), "x")
    assert of_edge(refusing) == WORK["kube-controller-manager"]
    assert of_edge(refused) == ("scheduler.not-working",)
