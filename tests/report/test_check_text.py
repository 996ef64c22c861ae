"""What `check` shows: what is wrong first, one line where there is room, and how much was looked at."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.values import values_of

from kubedoctor import Evidence, Fix, Severity, TargetKind, run
from kubedoctor.checks import Outcome
from kubedoctor.doctor.causes import causes
from kubedoctor.doctor.documents import Report, ReportedFinding, ReportedTarget, Result, skipped_because
from kubedoctor.doctor.examine import counts
from kubedoctor.report.check_text import render
from kubedoctor.report.text import cells

MACHINE = ReportedTarget(id="machine", kind=TargetKind.MACHINE, title="this machine", components=("etcd",))
LOCAL = ReportedTarget(id="local", kind=TargetKind.KUBEDOCTOR, title="cluster local")
OTHER = ReportedTarget(id="kubeadm", kind=TargetKind.KUBEADM, title="kubeadm node")


def result(check: str, outcome: Outcome = Outcome.PASSED, **changes: Any) -> Result:
    whole: dict[str, Any] = {"target": "machine", "title": f"{check} is well", "severity": Severity.ERROR, **changes}
    return Result(check=check, outcome=outcome, **whole)


def failed(check: str, message: str, severity: Severity = Severity.ERROR, **changes: Any) -> Result:
    on = {key: changes.pop(key) for key in ("target", "reason") if key in changes}
    finding = ReportedFinding(message=message, subject="it", severity=severity, **changes)
    return result(check, Outcome.FAILED, severity=severity, findings=(finding,), **on)


def report(*results: Result, targets: tuple[ReportedTarget, ...] = (MACHINE,), **changes: Any) -> Report:
    whole: dict[str, Any] = {"started": "2026-11-23T08:00:00Z", "seconds": 0.34, "ok": True, **changes}
    return Report(targets=targets, counts=counts(results), results=results, **whole)


def text(found: Report, **options: Any) -> str:
    return "\n".join(render(found, **options))


KILL = Fix(summary="stop it", steps=(run("kill", "812"),))
PORT = Fix(summary="use another port", steps=(run("kubedoctor", "up", "--set", "etcd.port=23790"),))


def test_a_machine_where_all_is_well_is_told_in_two_lines() -> None:
    well = report(*(result(f"acme.n{number}") for number in range(3)), result("acme.x", Outcome.NOT_APPLICABLE))
    assert (
        text(well, complete=True)
        == "this machine, 4 checks in 0.3 s: a cluster can start here\n\n3 well, 1 not applicable"
    )
    assert text(well).splitlines()[0] == "this machine, 4 checks in 0.3 s"


@pytest.mark.parametrize(
    "also",
    [
        failed("acme.a", "broken"),
        result("acme.a", Outcome.UNKNOWN, reason="needs root"),
        result("acme.a", Outcome.CRASHED, reason="acme: KeyError"),
    ],
)
def test_no_verdict_is_given_where_anything_grave_is_wrong_or_unseen(also: Result) -> None:
    assert "can start here" not in text(report(result("acme.n"), also), complete=True)


def test_no_verdict_is_given_where_up_would_start_nothing_or_a_cluster_runs() -> None:
    nothing = report(result("acme.n"), targets=(replace(MACHINE, components=()),))
    running = report(result("acme.n"), targets=(MACHINE, LOCAL))
    assert "can start here" not in text(nothing, complete=True) + text(running, complete=True)


def test_problems_come_first_with_what_to_type() -> None:
    found = report(
        result("acme.well"),
        failed("certs.expires-soon", "certificate admin expires in 6 days", Severity.WARNING),
        failed("etcd.port-taken", "port 2379 is taken by `etcd` (pid 812)", fixes=(KILL, PORT)),
        failed("host.swap", "swap is on", fixes=(Fix(summary="turn it off", steps=(run("swapoff", "-a"),)),)),
        failed("host.hint", "the clock is 3 s slow", Severity.INFO),
    )
    assert (
        text(found, advice={"certs.expires-soon": "renew it"})
        == """\
this machine, 5 checks in 0.3 s

port 2379 is taken by `etcd` (pid 812)                           etcd.port-taken
  fix   stop it            kill 812
  or    use another port   kubedoctor up --set etcd.port=23790

swap is on                                                             host.swap
  fix   turn it off   swapoff -a

also
  ! certificate admin expires in 6 days                       certs.expires-soon
    fix   renew it
  - the clock is 3 s slow                                              host.hint

2 errors, 1 warning, 1 hint, 1 well
more: kubedoctor explain etcd.port-taken"""
    )


def test_a_warning_with_its_command_is_one_line_where_there_is_room() -> None:
    renew = Fix(summary="renew it", steps=(run("kubedoctor", "certs", "renew", "admin"),))
    found = report(failed("certs.expires-soon", "admin expires in 6 days", Severity.WARNING, fixes=(renew,)))
    line = "  ! admin expires in 6 days   certs.expires-soon   kubedoctor certs renew admin"
    assert text(found).splitlines()[2] == line
    assert text(found, width=len(line) - 1).splitlines()[2:4] == [
        f"  ! admin expires in 6 days{'certs.expires-soon':>{len(line) - 1 - 27}}",
        "    fix   renew it   kubedoctor certs renew admin",
    ]


def test_long_messages_wrap_and_long_commands_have_a_line_of_their_own() -> None:
    command = run("kubedoctor", "up", "--set", "kube-apiserver.service-account-signing-key-file=/etc/kubernetes/sa.key")
    message = "the advertise address 127.0.0.1 is a loopback address: nodes could not reach the API server there"
    found = report(failed("apiserver.advertise-loopback", message, fixes=(Fix(summary="choose", steps=(command,)),)))
    assert text(found).splitlines()[2:6] == [
        "the advertise address 127.0.0.1 is a loopback address: nodes could not reach the",
        "API server there                                    apiserver.advertise-loopback",
        "  fix   choose",
        "        kubedoctor up --set kube-apiserver.service-account-signing-key-file=/etc/kubernetes/sa.key",
    ]


def test_checks_that_were_skipped_fold_under_what_failed() -> None:
    skipped = [
        result(f"kubelet.n{number}", Outcome.SKIPPED, reason=skipped_because("runtime.socket-missing"))
        for number in range(7)
    ]
    found = report(failed("runtime.socket-missing", "there is no socket"), *skipped)
    assert text(found).splitlines()[2:4] == [
        "there is no socket                                        runtime.socket-missing",
        "  7 more not looked at: kubelet.n0, kubelet.n1, kubelet.n2, kubelet.n3 and 3",
    ]
    assert text(found).count("kubelet.n0") == 1
    assert "1 error, 7 skipped" in text(found)


def test_what_was_skipped_stands_under_the_failure_on_its_own_target() -> None:
    both = [
        one
        for target in ("local", "kubeadm")
        for one in (
            failed("etcd.unhealthy", "etcd does not answer", target=target),
            result(f"acme.of-{target}", Outcome.SKIPPED, target=target, reason=skipped_because("etcd.unhealthy")),
            result(f"acme.on-{target}", Outcome.SKIPPED, target=target, reason=skipped_because("host.swap")),
        )
    ]
    shown = text(report(failed("host.swap", "swap is on"), *both, targets=(MACHINE, LOCAL, OTHER)))
    assert [line for line in shown.splitlines() if "not looked at" in line] == [
        "  2 more not looked at: acme.on-local, acme.on-kubeadm",
        "  1 more not looked at: acme.of-local",
        "  1 more not looked at: acme.of-kubeadm",
    ]


def test_what_is_ignored_stays_to_be_seen() -> None:
    found = report(replace(failed("host.swap", "swap is on"), outcome=Outcome.IGNORED), result("acme.well"))
    assert text(found).splitlines()[2:] == [
        "ignored",
        "  swap is on                                                           host.swap",
        "",
        "1 well, 1 ignored",
    ]


def test_what_could_not_be_seen_is_told_with_the_right_that_is_missing() -> None:
    unknown = [result(f"host.n{number}", Outcome.UNKNOWN, reason="needs root") for number in range(2)]
    assert (
        text(report(result("acme.well"), *unknown)).splitlines()[-1]
        == "1 well, 2 unknown (needs root: host.n0, host.n1)"
    )
    more = [*unknown, result("acme.slow", Outcome.TIMED_OUT, reason="acme.stuck() did not answer in 3 s")]
    assert text(report(result("acme.well"), *more)).splitlines()[-3:] == [
        "1 well, 2 unknown, 1 timed out",
        "  unknown    needs root: host.n0, host.n1",
        "  timed out  acme.stuck() did not answer in 3 s: acme.slow",
    ]


def test_many_reasons_are_cut_short_unless_everything_is_wanted() -> None:
    many = [result(f"acme.n{number}", Outcome.UNKNOWN, reason=f"no file {number}") for number in range(20)]
    found = report(result("acme.well"), *many)
    assert "14 more for other reasons: kubedoctor check -v" in text(found)
    assert "no file 19: acme.n19" not in text(found)
    assert "no file 19: acme.n19" in text(found, verbose=True)


def test_looking_at_nothing_is_not_being_well() -> None:
    assert text(report()).splitlines()[-2:] == [
        "nothing was looked at",
        "could not tell: no check had anything to look at",
    ]
    blind = report(
        result("acme.a"),
        result("acme.b", Outcome.UNKNOWN, target="kubeadm", reason="needs root"),
        targets=(MACHINE, OTHER),
    )
    assert text(blind).splitlines()[-1] == "could not tell how it is with kubeadm node: no check of errors could look"


def test_where_it_is_not_known_what_runs_no_cluster_can_start() -> None:
    machine = replace(MACHINE, components=("etcd",))
    assert "a cluster can start here" in text(report(result("acme.a"), targets=(machine,)), complete=True)
    unseen = text(report(result("acme.a"), targets=(replace(machine, unseen=True),)), complete=True)
    assert "a cluster can start here" not in unseen
    assert unseen.splitlines()[-1] == f"could not tell what runs on {machine.title}"


def test_several_clusters_are_named_at_their_findings() -> None:
    found = report(
        failed("etcd.unhealthy", "etcd does not answer", target="local"),
        failed("host.swap", "swap is on"),
        targets=(MACHINE, LOCAL, OTHER),
    )
    lines = text(found).splitlines()
    assert lines[0] == "this machine, cluster local, kubeadm node, 2 checks in 0.3 s"
    assert lines[2].endswith("  etcd.unhealthy (local)")
    assert lines[4].endswith("  host.swap")
    narrow = text(found, width=40).splitlines()
    assert narrow[:4] == ["2 checks in 0.3 s", "  this machine", "  cluster local", "  kubeadm node"]


def test_verbose_shows_the_evidence_and_every_check() -> None:
    seen = Evidence(source="/proc/swaps", observed="/dev/sda2, 2 GiB", expected="nothing")
    found = report(
        result("acme.well"),
        failed("host.swap", "swap is on", evidence=(seen,), fixes=(KILL, PORT, replace(KILL, link="https://k8s.io"))),
        result("acme.unseen", Outcome.UNKNOWN, reason="needs root"),
    )
    lines = text(found, verbose=True).splitlines()
    assert lines[3] == "  /proc/swaps: /dev/sda2, 2 GiB (expected: nothing)"
    assert "        https://k8s.io" in lines
    assert lines[lines.index("this machine") + 1 :][:3] == [
        "  passed          acme.well  acme.well is well",
        "  failed          host.swap  see above",
        "  unknown         acme.unseen  needs root",
    ]


def test_the_slowest_are_told_when_asked_for() -> None:
    found = report(
        result("acme.a", seconds=0.1), result("acme.b", seconds=1.25), timings={"acme.f()": 1.2, "acme.g()": 0.01}
    )
    assert text(found, with_timings=True).splitlines()[-6:] == [
        "slowest checks",
        "    1.250 s  acme.b",
        "    0.100 s  acme.a",
        "slowest facts",
        "    1.200 s  acme.f()",
        "    0.010 s  acme.g()",
    ]


def test_notes_of_the_search_and_the_time_of_a_recording_are_told() -> None:
    found = report(result("acme.well"), targets=(replace(MACHINE, notes=("pid 812: needs root",)),))
    lines = text(found, recorded="recorded 2026-11-23T08:00:00Z by kubedoctor 0.1").splitlines()
    assert lines[0] == "recorded 2026-11-23T08:00:00Z by kubedoctor 0.1"
    assert lines[-1] == "note: pid 812: needs root"


def test_colour_adds_nothing_but_colour() -> None:
    found = report(
        failed("acme.a", "broken", fixes=(KILL,)),
        failed("acme.b", "odd", Severity.WARNING),
        replace(failed("acme.c", "ignored"), outcome=Outcome.IGNORED),
    )
    assert re.sub("\x1b\\[[0-9;]*m", "", text(found, colour=True)) == text(found)
    assert "\x1b[31m" in text(found, colour=True)
    assert "\x1b" not in text(found)


def test_foreign_text_cannot_drive_the_terminal() -> None:
    evil = "\x1b[2J\x07\u202eroot\ud800\nsecond line"
    found = report(
        failed(
            "acme.a",
            evil,
            evidence=(Evidence(source=evil, observed=evil),),
            fixes=(Fix(summary=evil, steps=(run(evil),), link=evil),),
        ),
        result("acme.b", Outcome.UNKNOWN, reason=evil),
        targets=(replace(MACHINE, title=evil, notes=(evil,)),),
        timings={evil: 1.0},
    )
    shown = text(found, verbose=True, with_timings=True, recorded=evil)
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e\ud800]", shown)
    assert "\\x1b[2J" in shown


def without_commands(found: Report) -> Report:
    """Return the report with fixes that are told, not typed: a command stands in one line, however long."""
    fixes = (Fix(summary="mend it"),)
    results = (
        replace(one, findings=tuple(replace(finding, fixes=fixes) for finding in one.findings)) for one in found.results
    )
    return replace(found, results=tuple(results))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(values_of(Report), st.integers(40, 130), st.booleans(), st.booleans())
def test_any_report_can_be_shown_and_fits(found: Report, width: int, verbose: bool, complete: bool) -> None:
    if not found.targets:
        found = replace(found, targets=(MACHINE,))
    found = replace(without_commands(found), seconds=found.seconds % 10_000)
    for line in render(found, width=width, verbose=verbose, complete=complete):
        assert "\n" not in line
        assert cells(line) <= width or line.startswith("more: ")  # a command


# --- causes -----------------------------------------------------------------------------------------------------------


def caused(*results: Result) -> Report:
    return report(*results, causes=causes(results), targets=(MACHINE, LOCAL))


def test_a_cause_comes_first_and_what_follows_from_it_below_it() -> None:
    broken = failed("acme.broken", "it is broken", explains=("acme.idle",), fixes=(KILL,), fingerprint="a")
    idle = failed("acme.idle", "it does nothing", fixes=(PORT,), fingerprint="b")
    shown = text(caused(failed("acme.other", "another thing"), idle, broken))
    assert shown.splitlines()[2:9] == [
        "it is broken                                                         acme.broken",
        "  fix   stop it   kill 812",
        "  so    it does nothing                                                acme.idle",
        "",
        "another thing                                                         acme.other",
        "",
        "3 errors",
    ]
    assert shown.endswith("more: kubedoctor explain acme.broken")
    assert "use another port" not in shown
    assert "use another port" in text(caused(broken, idle), verbose=True)


def test_a_warning_from_which_an_error_follows_stands_among_the_errors() -> None:
    found = caused(
        failed("acme.scarce", "it is scarce", Severity.WARNING, explains=("acme.idle",), fingerprint="a"),
        failed("acme.idle", "it does nothing", fingerprint="b"),
        failed("acme.hint", "by the way", Severity.INFO, fingerprint="c"),
    )
    lines = text(found).splitlines()
    assert lines[2].startswith("! it is scarce")
    assert lines[3].startswith("  so    it does nothing")
    assert lines[5:7] == ["also", f"  - by the way{' ' * 57}acme.hint"]


def test_what_follows_on_another_cluster_stays_by_itself() -> None:
    found = caused(
        failed("acme.broken", "it is broken", explains=("acme.idle",), target="local", fingerprint="a"),
        failed("acme.idle", "it does nothing", target="machine", fingerprint="b"),
    )
    assert "  so  " not in text(found)


def test_checks_that_were_skipped_for_what_follows_are_told_there() -> None:
    found = caused(
        failed("acme.broken", "it is broken", explains=("acme.idle",), fingerprint="a"),
        failed("acme.idle", "it does nothing", fingerprint="b"),
        result("acme.more", Outcome.SKIPPED, reason=skipped_because("acme.idle")),
    )
    assert "  1 more not looked at: acme.more" in text(found).splitlines()
