from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from kubedoctor_host.facts import KubeletFile, kubelet_drop_ins, kubelet_file
from kubedoctor_host.swap import swap
from support.instances import absent, cluster, running

from kubedoctor import Absent, Denied, Instance, Severity, host
from kubedoctor.checks import Outcome
from kubedoctor.doctor.documents import Result
from kubedoctor.doctor.judge import CheckContext, Judgement
from kubedoctor.doctor.look import SharedLook
from kubedoctor.testing import MACHINE, run_check

FILE = "/var/lib/kubelet/config.yaml"
AREA = host.Swap(path="/dev/sda2", kind="partition", size=2 << 30, used=0, priority=-2)
KUBELET = running("kubelet", f"--config={FILE}", pid=812)


def found(config: KubeletFile | Exception, *flags: str) -> Result:
    facts = {host.swaps: (AREA,), (kubelet_file, FILE, 0): config}
    return run_check(swap, cluster(replace(KUBELET, argv=(*KUBELET.argv, *flags))), facts=facts)


def test_a_machine_without_swap_is_well_whatever_its_kubelets_are_set_to() -> None:
    assert run_check(swap, cluster(KUBELET), facts={host.swaps: ()}).outcome is Outcome.PASSED


def test_a_kubelet_that_runs_will_not_start_again() -> None:
    (finding,) = found(KubeletFile()).findings
    assert finding.message == (
        "swap is on (/dev/sda2, 2 GiB) and failSwapOn is true: the kubelet (pid 812) will not start again"
    )
    assert (finding.subject, finding.severity) == ("swap", Severity.WARNING)
    assert finding.fixes[0].steps[0].argv == ("swapoff", "/dev/sda2")


def test_a_kubelet_that_ended_because_of_it_is_an_error() -> None:
    facts = {host.swaps: (AREA,), (kubelet_file, FILE, 0): KubeletFile()}
    (finding,) = run_check(swap, cluster(absent("kubelet", f"--config={FILE}")), facts=facts).findings
    assert finding.message.endswith("failSwapOn is true: the kubelet does not start")
    assert finding.severity is Severity.ERROR


def test_a_kubelet_that_takes_swap_is_well() -> None:
    assert found(KubeletFile(fail_swap_on=False)).outcome is Outcome.PASSED


@pytest.mark.parametrize(
    ("flag", "outcome"),
    [
        ("--fail-swap-on=false", Outcome.PASSED),
        ("--fail-swap-on=true", Outcome.FAILED),
        ("--fail-swap-on", Outcome.FAILED),
    ],
)
def test_a_flag_counts_more_than_the_file(flag: str, outcome: Outcome) -> None:
    for value in (True, False):
        assert found(KubeletFile(fail_swap_on=value), flag).outcome is outcome


def test_a_drop_in_counts_more_than_the_file() -> None:
    facts: dict[Any, Any] = {
        host.swaps: (AREA,),
        (kubelet_file, FILE, 0): KubeletFile(fail_swap_on=True),
        (kubelet_drop_ins, "/etc/kubelet.d", 0): ("/etc/kubelet.d/10.conf", "/etc/kubelet.d/20.conf"),
        (kubelet_file, "/etc/kubelet.d/10.conf", 0): KubeletFile(fail_swap_on=False),
        (kubelet_file, "/etc/kubelet.d/20.conf", 0): KubeletFile(),
    }
    kubelet = replace(KUBELET, argv=(*KUBELET.argv, "--config-dir=/etc/kubelet.d"))
    assert run_check(swap, cluster(kubelet), facts=facts).outcome is Outcome.PASSED


def test_a_kubelet_that_up_would_start_takes_swap_unless_it_is_told_not_to() -> None:
    planned = Instance(name="kubelet", source="plan", argv=("kubelet", "--config=/x/kubelet.json"), planned=True)
    facts: dict[Any, Any] = {
        host.swaps: (AREA,),
        (kubelet_file, "/x/kubelet.json", 0): Absent("/x/kubelet.json does not exist"),
    }
    assert run_check(swap, replace(MACHINE, instances=(planned,)), facts=facts).outcome is Outcome.PASSED
    told = replace(planned, argv=(*planned.argv, "--fail-swap-on=true"))
    (finding,) = run_check(swap, replace(MACHINE, instances=(told,)), facts=facts).findings
    assert finding.message.endswith("the kubelet does not start")


def test_limited_swap_needs_the_second_version_of_cgroups() -> None:
    config = KubeletFile(fail_swap_on=False, swap_behavior="LimitedSwap")
    for layout, outcome in ((host.CgroupLayout.V2, Outcome.PASSED), (host.CgroupLayout.HYBRID, Outcome.FAILED)):
        facts = {
            host.swaps: (AREA,),
            (kubelet_file, FILE, 0): config,
            (host.cgroups, 0): host.Cgroups(layout=layout),
        }
        assert run_check(swap, cluster(KUBELET), facts=facts).outcome is outcome


def test_what_cannot_be_read_is_unknown() -> None:
    assert run_check(swap, cluster(KUBELET), facts={host.swaps: Denied("needs root")}).outcome is Outcome.UNKNOWN
    result = found(Denied(f"needs root to read {FILE}"))
    assert (result.outcome, result.reason) == (Outcome.UNKNOWN, f"needs root to read {FILE}")
    assert found(Absent("gone")).outcome is Outcome.UNKNOWN


# --- for real ---------------------------------------------------------------------------------------------------------


@contextmanager
def swap_on(directory: Path) -> Iterator[Path]:
    """Turn 4 MiB of swap on."""
    file = directory / "swap file"
    file.write_bytes(bytes(4 << 20))
    file.chmod(0o600)
    subprocess.run(["mkswap", file], check=True, capture_output=True)
    if subprocess.run(["swapon", file], capture_output=True, check=False).returncode != 0:
        pytest.skip("no swap can be turned on here")
    try:
        yield file
    finally:
        subprocess.run(["swapoff", file], check=True)


@pytest.mark.root
def test_swap_that_is_really_on_is_found_and_swapoff_mends_it(tmp_path: Path) -> None:
    config = tmp_path / "kubelet.yaml"
    config.write_text("kind: KubeletConfiguration\n")
    kubelet = running("kubelet", f"--config={config}")
    with swap_on(tmp_path) as file:
        (finding,) = looked_at(kubelet).findings
        assert finding.severity is Severity.WARNING
        assert str(file) in finding.message
        config.write_text("failSwapOn: false\n")
        assert looked_at(kubelet).findings == ()
    config.write_text("failSwapOn: true\n")
    assert not [one for one in looked_at(kubelet).findings if str(file) in one.message]


def looked_at(kubelet: Instance) -> Result:
    judgement = Judgement()
    judgement.judge(swap, CheckContext(SharedLook(), cluster(kubelet)))
    return judgement.result(swap, cluster(kubelet))
