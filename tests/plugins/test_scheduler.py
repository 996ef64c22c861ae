from __future__ import annotations

from kubedoctor_scheduler.component import scheduler
from support.planning import configuration


def test_bursts_of_pods_do_not_wait_for_the_clients_limit() -> None:
    flags = scheduler(configuration()).flags
    assert (flags["kube-api-qps"], flags["kube-api-burst"]) == (1000, 2000)


def test_ready_is_asked_over_a_certificate_of_ours() -> None:
    component = scheduler(configuration())
    (probe,) = component.ready
    assert (probe.kind, probe.path, probe.ca) == ("https", "/healthz", "server-ca")
    serving = next(certificate for certificate in component.certificates if certificate.server)
    assert component.flags["tls-cert-file"] == configuration().pki(f"{serving.name}.crt")
    assert "127.0.0.1" in serving.sans


def test_it_listens_on_loopback_and_is_published_by_wish_only() -> None:
    component = scheduler(configuration())
    assert component.flags["bind-address"] == "127.0.0.1"
    assert component.ports[0].publish is None
    assert scheduler(configuration(scheduler_port=11259)).ports[0].publish == 11259


def test_leader_election_is_off_unless_asked_for() -> None:
    assert scheduler(configuration()).flags["leader-elect"] is False
    assert scheduler(configuration(leader_elect=True)).flags["leader-elect"] is True
