from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from kubedoctor_etcd import checks, facts, health, settings
from support.instances import NOW, absent, cluster, listener, machine, messages, planned, recorded, running

from kubedoctor import Absent, Denied, Instance, Malformed, Severity, Silent, host
from kubedoctor.checks import Outcome
from kubedoctor.doctor.documents import Result
from kubedoctor.doctor.given import Given
from kubedoctor.testing import run_check

URL = "http://127.0.0.1:2381"
WELL = host.Health(status=200, text='{"health":"true","reason":""}')
CLIENTS = "http://localhost:2379"
FLAGS = ("--name=a", "--data-dir=/data", f"--listen-client-urls={CLIENTS}", f"--listen-metrics-urls={URL}")


def etcd(*more: str, **fields: Any) -> Instance:
    return running("etcd", *FLAGS, *more, **fields)


def ill(reason: str) -> host.Health:
    return host.Health(status=503, text=f'{{"health":"false","reason":"{reason}"}}')


# --- ports ------------------------------------------------------------------------------------------------------------


def test_a_port_that_is_taken_is_found_on_the_recorded_machine() -> None:
    result = recorded(checks.port_taken)
    (message,) = messages(result)
    assert message.startswith("`python3 -c import signal, socket; ")
    assert message.endswith("listens on port 2379, which etcd needs")
    assert [fix.summary for fix in result.findings[0].fixes] == [
        "stop it",
        "give etcd another port: --listen-client-urls",
    ]


def ports(instance: Instance, *held: host.Listener) -> Result:
    target = machine(instance) if instance.planned else cluster(instance)
    return run_check(checks.port_taken, target, facts={(host.listeners, instance.net): held}, now=NOW)


def test_free_ports_and_ports_of_an_etcd_that_runs_are_well() -> None:
    assert ports(absent("etcd", *FLAGS)).outcome is Outcome.PASSED
    assert ports(absent("etcd", *FLAGS), listener(2378), listener(2379, "10.0.0.1")).outcome is Outcome.PASSED
    assert ports(etcd(), listener(2379), listener(2380), listener(2381)).outcome is Outcome.PASSED


def test_each_taken_port_is_found_once_before_and_after_a_start() -> None:
    held = (listener(2379, "0.0.0.0"), listener(2380), listener(2381, pid=0, user="bob", reason="root can tell which"))
    for instance in (absent("etcd", *FLAGS), planned("etcd", *FLAGS)):
        assert messages(ports(instance, *held)) == [
            "`nc -l` (pid 7, user root, started 2 min ago) listens on port 2379, which etcd needs",
            "`nc -l` (pid 7, user root, started 2 min ago) listens on port 2380, which etcd needs",
            "a process of user bob (root can tell which) listens on port 2381, which etcd needs",
        ]


def test_a_cluster_of_ours_that_holds_the_port_is_to_be_brought_down() -> None:
    held = listener(2379, name="kd-relay-out", argv=("kd-relay-out",), directory="/h/clusters/a/places/node-1")
    (finding,) = ports(planned("etcd", *FLAGS), held).findings
    assert finding.fixes[0].summary == "stop the cluster `a`"
    assert finding.fixes[0].steps[0].argv == ("env", "KUBEDOCTOR_HOME=/h", "kubedoctor", "down", "--name", "a")


def test_urls_with_names_or_nonsense_hold_no_port() -> None:
    flags = ("--listen-client-urls=http://host.example:2379,nonsense,http://[::1,unix:///run/etcd",)
    assert ports(absent("etcd", *flags), listener(2379)).outcome is Outcome.PASSED


def test_ports_that_cannot_be_seen_are_unknown() -> None:
    facts: Given = {(host.listeners, 9): Denied("needs root")}
    result = run_check(checks.port_taken, cluster(absent("etcd", net=9)), facts=facts)
    assert (result.outcome, result.reason) == (Outcome.UNKNOWN, "needs root")


# --- the data directory -----------------------------------------------------------------------------------------------


def test_a_second_etcd_on_one_data_directory_is_found_on_the_recorded_machine() -> None:
    result = recorded(checks.data_directory_in_use)
    (message,) = messages(result)
    assert "etcd --name=local --data-dir=" in message
    assert "has locked the data in /" in message
    assert message.endswith("waits for it")


def data(instance: Instance, held: Any) -> Result:
    facts: Given = {(host.file_holders, "/data/member/snap/db", instance.root): held}
    return run_check(checks.data_directory_in_use, cluster(instance), facts=facts, now=NOW)


def holder(pid: int, *, locks: bool = True) -> host.Holder:
    return host.Holder(pid=pid, name="etcd", argv=("etcd", "--name=b"), uid=0, started=NOW - 60, locks=locks)


def test_an_etcd_that_has_its_own_data_locked_is_well_whoever_else_waits_for_it() -> None:
    assert data(etcd(pid=5), (holder(5),)).outcome is Outcome.PASSED
    assert data(etcd(pid=5), (holder(5), holder(6, locks=False))).outcome is Outcome.PASSED
    assert data(etcd(pid=5), ()).outcome is Outcome.PASSED
    assert data(absent("etcd", *FLAGS), Absent("no such file")).outcome is Outcome.PASSED
    assert data(absent("etcd", *FLAGS), (holder(6, locks=False),)).outcome is Outcome.PASSED


def test_data_that_another_process_has_locked_is_found() -> None:
    who = "`etcd --name=b` (pid 6, user root, started 1 min ago)"
    assert messages(data(etcd(pid=5), (holder(5, locks=False), holder(6)))) == [
        f"{who} has locked the data in /data, and etcd (pid 5) waits for it"
    ]
    assert messages(data(absent("etcd", *FLAGS), (holder(6),))) == [
        f"{who} has locked the data in /data, and etcd of plan of cluster local cannot use it"
    ]


def test_a_data_directory_is_where_the_settings_say() -> None:
    def directory(instance: Instance, file: Mapping[str, str] | None = None) -> str:
        values: Given = {(facts.config_file, "/work/etcd.yaml", 0): file or {}, (host.processes,): ()}

        class Asking:
            target = cluster(instance)
            now = NOW

            def get(self, fact: Any, *arguments: Any) -> Any:
                return values[(fact, *arguments)]

        result = list(settings.etcds(Asking()))  # type: ignore[arg-type]
        return result[0].data_directory

    assert directory(running("etcd")) == "/work/default.etcd"
    assert directory(running("etcd", "--name", "b")) == "/work/b.etcd"
    assert directory(running("etcd", environment={"ETCD_DATA_DIR": "here"})) == "/work/here"
    assert directory(running("etcd", "--data-dir=/a", environment={"ETCD_DATA_DIR": "/b"})) == "/a"
    assert directory(running("etcd", "--config-file=etcd.yaml", "--data-dir=/a"), {"data-dir": "/f"}) == "/f"
    assert directory(absent("etcd")) == ""


def test_holders_or_a_directory_that_cannot_be_seen_are_unknown() -> None:
    assert data(etcd(), Denied("needs root")).outcome is Outcome.UNKNOWN
    hidden = running("etcd", directory="")
    unseen = run_check(checks.data_directory_in_use, cluster(hidden), facts={host.processes: (process(hidden, None),)})
    assert unseen.reason == "needs root to see the environment of process 100, where settings may stand"
    nowhere = run_check(checks.data_directory_in_use, cluster(hidden), facts={host.processes: ()})
    assert nowhere.reason == "needs root to see where etcd (pid 100) keeps its data"


# --- health -----------------------------------------------------------------------------------------------------------


def test_a_stopped_etcd_is_found_on_the_recorded_machine() -> None:
    (message,) = messages(recorded(health.unhealthy))
    assert message.endswith("is stopped, by SIGSTOP or Ctrl-Z")


def asked(answers: Mapping[str, Any], instance: Instance | None = None) -> Result:
    instance = instance or etcd()
    facts: Given = {(host.health, f"{URL}/health{query}", 0): answer for query, answer in answers.items()}
    return run_check(health.unhealthy, cluster(instance), facts=facts, now=NOW)


def test_an_etcd_that_says_it_is_well_is_well() -> None:
    assert asked({"": WELL}).outcome is Outcome.PASSED


def test_an_alarm_is_left_to_its_own_check_unless_more_is_wrong() -> None:
    assert asked({"": ill("ALARM NOSPACE"), "?exclude=NOSPACE": WELL}).outcome is Outcome.PASSED
    more = {"": ill("ALARM NOSPACE"), "?exclude=NOSPACE": ill("RAFT NO LEADER")}
    assert messages(asked(more)) == ["etcd (pid 100) is unhealthy: RAFT NO LEADER"]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (ill("RAFT NO LEADER"), "is unhealthy: RAFT NO LEADER"),
        (host.Health(status=503, text="nonsense"), "is unhealthy: /health says 503"),
        (host.Health(status=503, text='["health"]'), "is unhealthy: /health says 503"),
        (host.Health(status=503, text='{"reason": 5}'), "is unhealthy: /health says 503"),
        (host.Health(status=404, text=""), "is unhealthy: /health says 404"),
        (host.Health(problem="it did not answer within 2 s"), "does not answer: it did not answer within 2 s"),
    ],
)
def test_what_is_no_yes_is_found(answer: host.Health, said: str) -> None:
    assert messages(asked({"": answer})) == [f"etcd (pid 100) {said}"]


def test_an_etcd_that_was_just_started_is_warned_of() -> None:
    (finding,) = asked({"": ill("RAFT NO LEADER")}, etcd(started=NOW - 2)).findings
    assert finding.message == "etcd (pid 100) is unhealthy: RAFT NO LEADER, 2 s after its start"
    assert finding.severity is Severity.WARNING


def test_an_etcd_that_does_not_run_is_held_or_is_planned() -> None:
    assert messages(asked({}, absent("etcd", *FLAGS, log="/l"))) == ["etcd does not run"]
    assert messages(asked({}, etcd(state="t"))) == ["etcd (pid 100) is held by a debugger"]
    assert asked({"": WELL}, etcd(state="D")).outcome is Outcome.PASSED


def test_an_etcd_that_answers_with_certificates_only_is_asked_as_those_who_have_one() -> None:
    url = "https://127.0.0.1:2379"
    instance = running(
        "etcd",
        "--data-dir=/data",
        f"--listen-client-urls={url}",
        "--trusted-ca-file=/pki/ca.crt",
        "--cert-file=/s.crt",
        "--key-file=/s.key",
    )
    server = running("kube-apiserver", "--etcd-certfile=/c.crt", "--etcd-keyfile=/c.key", pid=101, root=101)
    client, own = (
        host.Identity(certificate="/c.crt", key="/c.key", root=101),
        host.Identity(certificate="/s.crt", key="/s.key"),
    )
    kubeadm = host.Identity(certificate="/pki/healthcheck-client.crt", key="/pki/healthcheck-client.key")

    def result(answers: Mapping[host.Identity, Any]) -> Result:
        facts: Given = {(host.health, f"{url}/health", 0, who): answer for who, answer in answers.items()}
        return run_check(health.unhealthy, cluster(instance, server), facts=facts, now=NOW)

    assert result({client: WELL}).outcome is Outcome.PASSED
    assert result({client: Denied("x"), kubeadm: WELL}).outcome is Outcome.PASSED
    assert result({client: Absent("x"), kubeadm: Absent("x"), own: WELL}).outcome is Outcome.PASSED
    refused = {client: Denied("needs root to read /c.key"), kubeadm: Absent("x"), own: Denied("y")}
    nobody = result({**refused, host.NOBODY: Denied("wants a client certificate")})
    assert (nobody.outcome, nobody.reason) == (Outcome.UNKNOWN, "needs root to read /c.key")


def test_an_etcd_without_an_address_that_can_be_asked_is_unknown() -> None:
    instance = running("etcd", "--data-dir=/d", "--listen-client-urls=unix:///run/etcd.sock,http://[::1,http://x:0")
    assert run_check(health.unhealthy, cluster(instance), facts={}).outcome is Outcome.UNKNOWN


# --- alarms -----------------------------------------------------------------------------------------------------------


def test_a_full_database_is_found_on_the_recorded_machine() -> None:
    result = recorded(health.alarm_raised)
    (message,) = messages(result)
    assert "has raised NOSPACE: its database is full (4 MiB of 4 MiB, 3 MiB in use), and it takes no writes" in message
    assert [step.argv[-1] for step in result.findings[0].fixes[0].steps] == ["json", "REVISION", "defrag", "disarm"]


def test_each_alarm_is_found_once() -> None:
    facts: Given = {
        (host.health, f"{URL}/health", 0): ill("ALARM CORRUPT"),
        (host.health, f"{URL}/health?exclude=CORRUPT", 0): ill("ALARM NOSPACE"),
        (host.health, f"{URL}/health?exclude=CORRUPT&exclude=NOSPACE", 0): WELL,
        (host.metrics, f"{URL}/metrics", 0, health.SIZES): Silent("no"),
    }
    result = run_check(health.alarm_raised, cluster(etcd()), facts=facts, now=NOW)
    assert messages(result) == [
        "etcd (pid 100) has raised CORRUPT: its data is not that of the other members",
        "etcd (pid 100) has raised NOSPACE: it takes no writes",
    ]


def test_an_etcd_that_keeps_telling_an_alarm_that_is_excluded_is_asked_once_more_only() -> None:
    facts: Given = {
        (host.health, f"{URL}/health", 0): ill("ALARM NOSPACE"),
        (host.health, f"{URL}/health?exclude=NOSPACE", 0): ill("ALARM NOSPACE"),
        (host.metrics, f"{URL}/metrics", 0, health.SIZES): (),
    }
    assert len(run_check(health.alarm_raised, cluster(etcd()), facts=facts).findings) == 1


def test_no_alarm_is_well_and_an_etcd_that_does_not_run_has_none() -> None:
    facts: Given = {(host.health, f"{URL}/health", 0): WELL}
    assert run_check(health.alarm_raised, cluster(etcd()), facts=facts).outcome is Outcome.PASSED
    gone = run_check(health.alarm_raised, cluster(absent("etcd")), facts={})
    assert gone.outcome is Outcome.NOT_APPLICABLE


def test_alarms_that_cannot_be_seen_are_unknown() -> None:
    facts: Given = {(host.health, f"{URL}/health", 0): Denied("needs root")}
    assert run_check(health.alarm_raised, cluster(etcd()), facts=facts).outcome is Outcome.UNKNOWN


# --- the environment --------------------------------------------------------------------------------------------------


def environment(instance: Instance, ours: Mapping[str, str] | None = None) -> Result:
    target = machine(instance) if instance.planned else cluster(instance)
    seen = process(instance, instance.environment)
    return run_check(
        checks.environment_shadows_flag, target, facts={facts.our_environment: ours or {}, host.processes: (seen,)}
    )


def process(instance: Instance, environment: Mapping[str, str] | None) -> host.Process:
    return host.Process(
        pid=instance.pid,
        parent=1,
        name="etcd",
        state="S",
        start_ticks=1,
        started=1,
        uid=0,
        argv=instance.argv,
        environment=environment,
    )


def test_an_environment_that_cannot_be_seen_is_unknown() -> None:
    instance = etcd()
    result = run_check(
        checks.environment_shadows_flag, cluster(instance), facts={host.processes: (process(instance, None),)}
    )
    assert (result.outcome, result.reason) == (
        Outcome.UNKNOWN,
        "needs root to see the environment of process 100, where settings may stand",
    )
    gone = run_check(checks.environment_shadows_flag, cluster(instance), facts={host.processes: ()})
    assert gone.outcome is Outcome.PASSED


def test_a_variable_that_etcd_ends_of_is_found_on_the_recorded_machine() -> None:
    (finding,) = recorded(checks.environment_shadows_flag).findings
    assert finding.message == (
        "ETCD_NAME in the environment of etcd of manifest /etc/kubernetes/manifests/etcd.yaml is also its flag --name: "
        "etcd refuses to start with both"
    )
    assert finding.severity is Severity.ERROR


def test_a_variable_in_our_environment_is_mentioned() -> None:
    (finding,) = environment(planned("etcd", "--name=a"), {"ETCD_INITIAL_CLUSTER": "a=b"}).findings
    assert finding.severity is Severity.INFO
    assert finding.message.startswith("ETCD_INITIAL_CLUSTER is set here: an etcd started by hand takes it")


def test_a_variable_that_is_also_a_flag_is_found() -> None:
    name = {"ETCD_NAME": "b"}
    (dead,) = environment(absent("etcd", "--name=a", environment=name)).findings
    assert "ETCD_NAME in the environment of etcd" in dead.message
    assert dead.message.endswith("is also its flag --name: etcd refuses to start with both")
    assert (dead.severity, dead.explains) == (Severity.ERROR, ("etcd.unhealthy",))
    (old,) = environment(running("etcd", "--name=a", environment=name)).findings
    assert (old.severity, old.explains) == (Severity.WARNING, ())


def test_a_variable_that_the_command_line_does_not_show_is_found_where_etcd_does_not_run() -> None:
    stray = {"ETCD_INITIAL_CLUSTER": "infra0=http://10.0.1.10:2380"}
    (finding,) = environment(absent("etcd", "--name=a", environment=stray)).findings
    assert "takes --initial-cluster from ETCD_INITIAL_CLUSTER" in finding.message
    assert finding.severity is Severity.WARNING
    assert environment(running("etcd", "--name=a", environment=stray)).outcome is Outcome.PASSED


def test_variables_that_are_none_of_etcds_or_all_there_is_are_well() -> None:
    others = {"ETCD_PORT": "2379", "ETCD_DIR": "/x", "ETCDCTL_API": "3", "GODEBUG": "x"}
    assert environment(absent("etcd", "--name=a", environment=others)).outcome is Outcome.PASSED
    assert environment(absent("etcd", environment={"ETCD_NAME": "a"})).outcome is Outcome.PASSED
    assert environment(planned("etcd", "--name=a"), others).outcome is Outcome.PASSED
    file = run_check(
        checks.environment_shadows_flag,
        cluster(running("etcd", "--config-file=/f", environment={"ETCD_NAME": "a"})),
        facts={(facts.config_file, "/f", 0): {"name": "b"}},
    )
    assert file.outcome is Outcome.PASSED


def test_a_configuration_file_that_cannot_be_read_is_unknown() -> None:
    for error in (Denied("needs root"), Malformed("nonsense"), Absent("gone")):
        target = cluster(running("etcd", "--config-file=/f"))
        for check in checks.CHECKS:
            if check.id != "etcd.alarm-raised":
                result = run_check(check, target, facts={(facts.config_file, "/f", 0): error})
                assert result.outcome is Outcome.UNKNOWN, check.id
