"""What kube-scheduler is run with."""

from __future__ import annotations

from kubedoctor import Authority, Certificate, ClusterConfig, Component, Kind, Kubeconfig, Port, Probe, ProbeKind, Stop

NAME = "kube-scheduler"
PORT = 10259

# The defaults (50 and 100 requests) make bursts of pods wait for the client's own limit.
QUERIES_PER_SECOND = 1000
BURST = 2000


def scheduler(config: ClusterConfig) -> Component:
    """Return kube-scheduler as *config* wants it.

    By flags alone: a configuration file of the user's own (`--set kube-scheduler.config=FILE`) then takes their place.
    """
    port = config.port_inside(PORT, config.scheduler_port)
    kubeconfig = config.kubeconfig("scheduler")
    return Component(
        name=NAME,
        kind=Kind.CONTROL_PLANE,
        binary=NAME,
        flags={
            "kubeconfig": kubeconfig,
            "authentication-kubeconfig": kubeconfig,
            "authorization-kubeconfig": kubeconfig,
            "bind-address": "127.0.0.1",
            "secure-port": port,
            # Without them it makes an RSA key and certificate at every start.
            "tls-cert-file": config.pki("serving-kube-scheduler.crt"),
            "tls-private-key-file": config.pki("serving-kube-scheduler.key"),
            "leader-elect": config.leader_elect,
            "kube-api-qps": QUERIES_PER_SECOND,
            "kube-api-burst": BURST,
            **config.version_flags(),
            **config.logging_flags(),
        },
        env=config.debugging_environment(),
        certificates=(
            Certificate(
                name="client-scheduler", authority=Authority.CLIENT, common_name="system:kube-scheduler", client=True
            ),
            Certificate(
                name="serving-kube-scheduler",
                authority=Authority.SERVER,
                common_name=NAME,
                sans=("localhost", "127.0.0.1", "::1"),
                server=True,
            ),
        ),
        kubeconfigs=(Kubeconfig(name="scheduler", certificate="client-scheduler"),),
        ports=(
            Port(name="https", inside=port, publish=config.scheduler_port, exact=config.scheduler_port is not None),
        ),
        after=("kube-apiserver",),
        ready=(Probe(kind=ProbeKind.HTTPS, port="https", path="/healthz", ca="server-ca"),),
        stop=Stop(timeout=2.0),
    )
