"""What etcd is run with: one member, clients by certificate only."""

from __future__ import annotations

from kubedoctor import Authority, Certificate, ClusterConfig, Component, FlagValue, Kind, Port, Probe, ProbeKind, Stop

NAME = "etcd"
CLIENT_PORT = 2379

# A single member still waits for its election timeout before it leads itself. The defaults (100 ms, 1 s) cost 0.3 to
# 1 s at every start; these cost 0.05 to 0.1 s. They would be wrong for members that talk over a network.
HEARTBEAT_MILLISECONDS = 10
ELECTION_MILLISECONDS = 100

TRACES_PER_MILLION = 1_000_000


def etcd(config: ClusterConfig) -> Component:
    """Return etcd as *config* wants it.

    Peer and metrics ports follow the client port, so that a host place with another `ETCD_PORT` moves all three.
    """
    client = config.port_inside(CLIENT_PORT, config.etcd_port)
    peer, metrics = client + 1, client + 2
    data = config.etcd_dir or config.data(NAME)
    flags: dict[str, FlagValue] = {
        "name": config.name,
        "data-dir": data,
        "listen-client-urls": f"https://127.0.0.1:{client}",
        "advertise-client-urls": f"https://127.0.0.1:{client}",
        "listen-peer-urls": f"http://127.0.0.1:{peer}",
        "initial-advertise-peer-urls": f"http://127.0.0.1:{peer}",
        "initial-cluster": f"{config.name}=http://127.0.0.1:{peer}",
        # Plain HTTP on loopback, for /health and /metrics only: the probe needs no certificate, a scraper neither.
        "listen-metrics-urls": f"http://127.0.0.1:{metrics}",
        "cert-file": config.pki("serving-etcd.crt"),
        "key-file": config.pki("serving-etcd.key"),
        "trusted-ca-file": config.pki("etcd-ca.crt"),
        "client-cert-auth": True,
        "heartbeat-interval": HEARTBEAT_MILLISECONDS,
        "election-timeout": ELECTION_MILLISECONDS,
        "log-level": config.etcd_log_level or None,
        "log-format": None,  # JSON is what it writes anyway
        "unsafe-no-fsync": True if config.unsafe_no_fsync else None,
        "enable-distributed-tracing": True if config.tracing else None,
        "distributed-tracing-sampling-rate": TRACES_PER_MILLION if config.tracing else None,
    }
    return Component(
        name=NAME,
        kind=Kind.CONTROL_PLANE,
        binary=NAME,
        flags=flags,
        certificates=_certificates(config),
        ports=(
            Port(
                name="client",
                inside=client,
                publish=config.etcd_port,
                publish_address=config.etcd_host or "127.0.0.1",
                exact=config.etcd_port is not None,
            ),
            Port(name="peer", inside=peer),
            Port(name="metrics", inside=metrics),
        ),
        # /health asks for a linearizable read, so it says yes only when there is a leader that can commit.
        ready=(Probe(kind=ProbeKind.HTTP, port="metrics", path="/health", contains='"health":"true"'),),
        # Alone it would wait for kube-apiserver's streams without end; what it has answered for is in its log already.
        stop=Stop(timeout=2.0),
        directories=(data,),
        data=(f"{data}/member",),  # all that etcd makes there; the directory may be the user's and hold other things
    )


def _certificates(config: ClusterConfig) -> tuple[Certificate, ...]:
    names = ["localhost", "127.0.0.1", "::1"]
    if config.etcd_host and config.etcd_host not in names:
        names.append(config.etcd_host)
    return (
        # etcd's gRPC gateway dials its own client port with this certificate, so it has to be a client's as well.
        Certificate(
            name="serving-etcd",
            authority=Authority.ETCD,
            common_name="etcd",
            sans=tuple(names),
            server=True,
            client=True,
        ),
        Certificate(name="client-etcd", authority=Authority.ETCD, common_name="kube-apiserver", client=True),
    )
