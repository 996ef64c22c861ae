from __future__ import annotations

from kubedoctor_etcd.component import etcd
from support.planning import configuration

from kubedoctor.components import Authority
from kubedoctor.config import PlaceKind


def test_clients_need_a_certificate() -> None:
    flags = etcd(configuration()).flags
    assert flags["client-cert-auth"] is True
    assert flags["listen-client-urls"] == flags["advertise-client-urls"] == "https://127.0.0.1:2379"


def test_everything_listens_on_loopback() -> None:
    flags = etcd(configuration(etcd_port=12379, etcd_host="0.0.0.0")).flags
    for name, value in flags.items():
        if name.startswith("listen-"):
            assert "//127.0.0.1:" in str(value), name


def test_ready_is_what_etcd_says_of_itself_without_a_certificate() -> None:
    component = etcd(configuration())
    (probe,) = component.ready
    assert (probe.kind, probe.path, probe.contains) == ("http", "/health", '"health":"true"')
    assert next(port.inside for port in component.ports if port.name == probe.port) == 2381


def test_single_member_does_not_wait_for_its_own_election() -> None:
    flags = etcd(configuration()).flags
    assert (flags["heartbeat-interval"], flags["election-timeout"]) == (10, 100)


def test_fsync_is_left_out_by_wish_only() -> None:
    assert etcd(configuration()).flags["unsafe-no-fsync"] is None
    assert etcd(configuration(unsafe_no_fsync=True)).flags["unsafe-no-fsync"] is True


def test_data_directory_is_the_places_unless_named() -> None:
    assert etcd(configuration()).directories == ("/var/lib/kubedoctor/clusters/local/places/node-1/data/etcd",)
    assert etcd(configuration(etcd_dir="/srv/etcd")).flags["data-dir"] == "/srv/etcd"


def test_it_is_published_by_wish_only() -> None:
    assert [port.publish for port in etcd(configuration()).ports] == [None, None, None]
    client = etcd(configuration(etcd_port=12379)).ports[0]
    assert (client.inside, client.publish, client.exact) == (2379, 12379, True)


def test_three_ports_move_together_on_the_host() -> None:
    component = etcd(configuration(place_kind=PlaceKind.HOST, etcd_port=23790))
    assert [port.inside for port in component.ports] == [23790, 23791, 23792]
    assert component.flags["initial-cluster"] == "local=http://127.0.0.1:23791"


def test_certificates_are_of_an_authority_of_its_own() -> None:
    certificates = {certificate.name: certificate for certificate in etcd(configuration()).certificates}
    assert set(certificates) == {"serving-etcd", "client-etcd"}
    assert {certificate.authority for certificate in certificates.values()} == {Authority.ETCD}
    assert {"127.0.0.1", "::1", "localhost"} <= set(certificates["serving-etcd"].sans)
    assert "db.test" in etcd(configuration(etcd_host="db.test")).certificates[0].sans
