from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from kubedoctor_apiserver import checks
from support.instances import NOW, absent, cluster, listener, machine, messages, planned, recorded, running

from kubedoctor import Absent, Denied, Instance, Malformed, Severity, host
from kubedoctor.checks import Outcome
from kubedoctor.doctor.documents import Result
from kubedoctor.doctor.given import Given
from kubedoctor.testing import run_check

NAME = "kube-apiserver"
URL = "https://127.0.0.1:6443/readyz?verbose"
READY = host.Health(status=200, text="[+]ping ok\n[+]etcd ok\nreadyz check passed\n")


# --- the port ---------------------------------------------------------------------------------------------------------


def test_a_taken_port_is_found_on_the_recorded_machine() -> None:
    (message,) = messages(recorded(checks.port_taken))
    assert message.endswith("listens on port 6443, which kube-apiserver needs")


def ports(instance: Instance, *held: host.Listener) -> Result:
    target = machine(instance) if instance.planned else cluster(instance)
    return run_check(checks.port_taken, target, facts={(host.listeners, instance.net): held}, now=NOW)


def test_a_port_is_taken_by_who_excludes_the_address() -> None:
    assert ports(planned(NAME), listener(6443)).outcome is Outcome.FAILED
    assert ports(absent(NAME, "--secure-port=7443"), listener(6443)).outcome is Outcome.PASSED
    assert ports(absent(NAME, "--bind-address=10.0.0.1"), listener(6443)).outcome is Outcome.PASSED
    assert ports(absent(NAME, "--bind-address=a.name"), listener(6443)).outcome is Outcome.PASSED
    assert ports(running(NAME), listener(6443)).outcome is Outcome.PASSED
    unseen = run_check(checks.port_taken, cluster(absent(NAME)), facts={(host.listeners, 0): Denied("needs root")})
    assert unseen.outcome is Outcome.UNKNOWN


# --- the address to advertise -----------------------------------------------------------------------------------------


def test_a_loopback_address_to_advertise_is_found_on_the_recorded_machine() -> None:
    (message,) = messages(recorded(checks.advertise_loopback))
    assert message == "kube-apiserver is told to advertise 127.0.0.1, a loopback address, and ends because of it"


@pytest.mark.parametrize(
    ("flags", "outcome"),
    [
        ([], "passed"),
        (["--advertise-address=10.0.0.1"], "passed"),
        (["--advertise-address=127.0.0.1", "--endpoint-reconciler-type=none"], "passed"),
        (["--advertise-address=nonsense"], "passed"),
        (["--advertise-address=127.8.0.1"], "failed"),
        (["--advertise-address=::1", "--endpoint-reconciler-type=lease"], "failed"),
    ],
)
def test_only_a_loopback_address_that_would_be_written_is_wrong(flags: list[str], outcome: str) -> None:
    for target in (cluster(absent(NAME, *flags)), machine(planned(NAME, *flags)), cluster(running(NAME, *flags))):
        assert run_check(checks.advertise_loopback, target, facts={}).outcome == outcome


# --- readiness --------------------------------------------------------------------------------------------------------


def test_an_apiserver_that_shuts_down_is_found_on_the_recorded_machine() -> None:
    (message,) = messages(recorded(checks.not_ready))
    assert "is not ready: shutdown" in message


def ready(answers: Mapping[host.Identity, Any], instance: Instance, *others: Instance, kubeconfig: str = "") -> Result:
    facts: Given = {(host.health, URL, 0, identity): answer for identity, answer in answers.items()}
    return run_check(checks.not_ready, cluster(instance, *others, kubeconfig=kubeconfig), facts=facts, now=NOW)


def test_an_apiserver_that_says_so_is_ready() -> None:
    assert ready({host.NOBODY: READY}, running(NAME)).outcome is Outcome.PASSED


def test_what_fails_is_named() -> None:
    text = (
        "[+]ping ok\n[-]etcd failed: reason withheld\n[-]poststarthook/rbac/bootstrap-roles failed: reason withheld\n"
    )
    (finding,) = ready({host.NOBODY: host.Health(status=500, text=text)}, running(NAME)).findings
    assert finding.message == "kube-apiserver (pid 100) is not ready: etcd, poststarthook/rbac/bootstrap-roles"
    assert finding.severity is Severity.ERROR


def test_an_apiserver_that_was_just_started_is_warned_of() -> None:
    instance = running(NAME, started=NOW - 4)
    (finding,) = ready({host.NOBODY: host.Health(problem="refused")}, instance).findings
    assert finding.message == "kube-apiserver (pid 100) does not answer: refused, 4 s after its start"
    assert finding.severity is Severity.WARNING


def test_an_answer_that_names_nothing_is_told_by_its_status() -> None:
    (message,) = messages(ready({host.NOBODY: host.Health(status=404, text="page not found")}, running(NAME)))
    assert message.endswith("is not ready: /readyz says 404")


def test_an_apiserver_that_knows_nobody_is_asked_as_somebody() -> None:
    hidden = host.Health(status=401, text="Unauthorized")
    admin = host.Identity(kubeconfig="/admin")
    controllers = host.Identity(kubeconfig="/work/kcm", root=5)
    own = host.Identity(certificate="/k.crt", key="/k.key")
    server = running(NAME, "--kubelet-client-certificate=/k.crt", "--kubelet-client-key=/k.key")
    manager = running("kube-controller-manager", "--kubeconfig=kcm", pid=5, root=5)
    everybody = {host.NOBODY: hidden, admin: Denied("no"), controllers: hidden, own: READY}
    assert ready(everybody, server, manager, kubeconfig="/admin").outcome is Outcome.PASSED
    unready = {host.NOBODY: hidden, admin: host.Health(status=500, text="[-]etcd failed: x")}
    assert messages(ready(unready, server, kubeconfig="/admin")) == ["kube-apiserver (pid 100) is not ready: etcd"]
    nobody = ready({host.NOBODY: hidden, controllers: Absent("x")}, running(NAME), manager)
    assert nobody.outcome is Outcome.UNKNOWN
    assert nobody.reason.startswith("needs a kubeconfig that kube-apiserver accepts: it is alive")


def test_an_apiserver_that_does_not_run_is_found_by_that() -> None:
    assert messages(ready({}, absent(NAME))) == ["kube-apiserver does not run"]
    assert messages(ready({}, running(NAME, state="T"))) == [
        "kube-apiserver (pid 100) is stopped, by SIGSTOP or Ctrl-Z"
    ]


# --- keys -------------------------------------------------------------------------------------------------------------


def key(number: int, *, private: bool = False) -> host.PublicKeyFact:
    return host.PublicKeyFact(hash=f"{number}" * 64, algorithm="RSA 2048", private=private)


def keys(files: Mapping[str, Any], *instances: Instance) -> Result:
    facts: Given = {(host.public_keys, path, 0): found for path, found in files.items()}
    return run_check(checks.service_account_key_mismatch, cluster(*instances), facts=facts)


SERVER = running(NAME, "--service-account-key-file=/sa.pub", "--service-account-signing-key-file=/sa.key")
MANAGER = running("kube-controller-manager", "--service-account-private-key-file=/kcm.key", pid=5)


def test_another_signing_key_is_found_on_the_recorded_machine() -> None:
    (message,) = messages(recorded(checks.service_account_key_mismatch))
    assert message.startswith("kube-controller-manager signs tokens with /")
    assert message.endswith("whose public key kube-apiserver does not know: it refuses them")


def test_keys_that_belong_together_are_well() -> None:
    files = {"/sa.pub": (key(1),), "/sa.key": (key(1, private=True),), "/kcm.key": (key(1, private=True),)}
    assert keys(files, SERVER, MANAGER).outcome is Outcome.PASSED
    rotated = {**files, "/sa.pub": (key(2), key(1))}
    assert keys(rotated, SERVER, MANAGER).outcome is Outcome.PASSED


def test_a_signer_whose_key_is_not_known_is_found() -> None:
    files = {"/sa.pub": (key(1),), "/sa.key": (key(2, private=True),), "/kcm.key": (key(3, private=True),)}
    result = keys(files, SERVER, MANAGER)
    assert [finding.subject for finding in result.findings] == [
        "kube-apiserver --service-account-signing-key-file",
        "kube-controller-manager --service-account-private-key-file",
    ]


def test_without_key_files_the_serving_key_counts() -> None:
    server = running(NAME, "--tls-private-key-file=tls.key")
    files = {"/work/tls.key": (key(1, private=True),), "/kcm.key": (key(2, private=True),)}
    assert keys(files, server, MANAGER).outcome is Outcome.FAILED
    assert keys({}, running(NAME), MANAGER).outcome is Outcome.NOT_APPLICABLE


def test_keys_that_cannot_be_read_are_unknown() -> None:
    for error in (Denied("needs root to read /kcm.key"), Absent("gone"), Malformed("nonsense")):
        files = {"/sa.pub": (key(1),), "/sa.key": (key(1),), "/kcm.key": error}
        result = keys(files, SERVER, MANAGER)
        assert (result.outcome, result.reason) == (Outcome.UNKNOWN, error.reason)
