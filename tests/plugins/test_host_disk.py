from __future__ import annotations

import contextlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kubedoctor_host.demands import quantity
from kubedoctor_host.disk import disk_full
from kubedoctor_host.facts import KubeletFile, etcd_directories, kubelet_file, runtime_directory
from support.children import child

from kubedoctor import Absent, Denied, Instance, Malformed, Severity, Silent, Target, TargetKind, host
from kubedoctor.checks import Outcome
from kubedoctor.doctor.documents import Result
from kubedoctor.doctor.judge import CheckContext, Judgement
from kubedoctor.doctor.look import SharedLook
from kubedoctor.testing import run_check

GIB = 1 << 30
WELL = host.DiskSpace(
    path="/var/lib",
    mount="/",
    kind="ext4",
    source="/dev/vda",
    device=1,
    size=100 * GIB,
    free=60 * GIB,
    available=55 * GIB,
    inodes=1000,
    inodes_free=900,
    read_only=False,
)
ETCD = Instance(name="etcd", source="process 9", pid=9, argv=("etcd", "--data-dir=/data"), uid=1000)
KUBELET = Instance(name="kubelet", source="process 8", pid=8, argv=("kubelet", "--config=/k.yaml"))
CONTAINERD = Instance(name="containerd", source="process 7", pid=7, argv=("containerd",))
NODE = {
    (kubelet_file, "/k.yaml", 0): KubeletFile(),
    (runtime_directory, "/etc/containerd/config.toml", 0): "",
    (host.disk_space, "/var/lib/kubelet", 0): WELL,
    (host.disk_space, "/var/lib/containerd", 0): WELL,
    (host.disk_space, "/data", 0): WELL,
}


def target(*instances: Instance) -> Target:
    return Target(id="x", kind=TargetKind.OTHER, title="x", instances=instances)


def found(facts: dict[Any, Any], *instances: Instance) -> Result:
    return run_check(disk_full, target(*(instances or (ETCD, KUBELET, CONTAINERD))), facts={**NODE, **facts})


def with_room(available: int, **others: Any) -> host.DiskSpace:
    return replace(WELL, available=available, free=available, **others)


def test_disks_with_room_are_well() -> None:
    assert found({}).outcome is Outcome.PASSED


def test_the_kubelets_thresholds_are_those_it_has_by_default() -> None:
    for available, share in ((11, Outcome.PASSED), (9, Outcome.FAILED)):
        assert found({(host.disk_space, "/var/lib/kubelet", 0): with_room(available * GIB)}, KUBELET).outcome is share
    images = (host.disk_space, "/var/lib/containerd", 0)
    for available, share in ((16, Outcome.PASSED), (14, Outcome.FAILED)):
        assert found({images: with_room(available * GIB)}, KUBELET, CONTAINERD).outcome is share
    inodes = replace(WELL, inodes_free=49)
    (finding,) = found({(host.disk_space, "/var/lib/kubelet", 0): inodes}, KUBELET).findings
    assert finding.evidence[0].expected == "at least 5 % of the inodes for kubelet"


def test_thresholds_that_were_set_replace_all_others_unless_they_are_merged() -> None:
    nearly = {(host.disk_space, "/var/lib/kubelet", 0): with_room(9 * GIB, inodes_free=1)}
    only = KubeletFile(eviction_hard={"nodefs.available": "1Gi"})
    assert found({**nearly, (kubelet_file, "/k.yaml", 0): only}, KUBELET).outcome is Outcome.PASSED
    merged = replace(only, merges_defaults=True)
    assert found({**nearly, (kubelet_file, "/k.yaml", 0): merged}, KUBELET).outcome is Outcome.FAILED
    flag = replace(KUBELET, argv=(*KUBELET.argv, "--eviction-hard=nodefs.available<10Gi,memory.available<1Mi"))
    assert found(nearly, flag).outcome is Outcome.FAILED


def test_one_disk_is_one_finding_with_all_it_disturbs() -> None:
    full = with_room(1000)
    facts = {(host.disk_space, path, 0): full for path in ("/data", "/var/lib/kubelet", "/var/lib/containerd")}
    (finding,) = found(facts).findings
    assert finding.subject == "disk at /"
    assert finding.message == (
        "the disk of etcd, kubelet and containerd at / is full, 1000 B left: "
        "etcd ends, or does not start; pods are evicted and no others start; images are deleted"
    )
    assert len(finding.evidence) == 3


def test_etcd_is_warned_before_it_ends() -> None:
    for available, severity in ((300_000_000, None), (200_000_000, Severity.WARNING), (60_000_000, Severity.ERROR)):
        findings = found({(host.disk_space, "/data", 0): with_room(available)}, ETCD).findings
        assert [one.severity for one in findings] == ([severity] if severity else [])
        for one in findings:
            assert one.explains == (("etcd.unhealthy",) if severity is Severity.ERROR else ())


def test_roots_etcd_may_use_what_is_kept_for_root() -> None:
    facts = {(host.disk_space, "/data", 0): replace(WELL, available=0)}
    assert found(facts, replace(ETCD, uid=0)).outcome is Outcome.PASSED
    assert found(facts, ETCD).outcome is Outcome.FAILED


@pytest.mark.parametrize(
    "instance",
    [
        replace(ETCD, argv=("etcd",), environment={"ETCD_DATA_DIR": "/data"}),
        replace(ETCD, argv=("etcd", "--data-dir", "data"), directory="/"),
        replace(ETCD, argv=("etcd", "--name=data"), directory="/", environment={}),
        replace(ETCD, argv=("etcd", "--config-file=/etcd.yaml")),
    ],
)
def test_the_directory_of_etcd_is_found(instance: Instance) -> None:
    facts = {
        (host.disk_space, "/data", 0): with_room(0),
        (host.disk_space, "/data.etcd", 0): with_room(0),
        (etcd_directories, "/etcd.yaml", 0): {"data-dir": "/data"},
    }
    assert found(facts, instance).outcome is Outcome.FAILED


def test_the_directory_of_the_runtime_is_found() -> None:
    full = {(host.disk_space, "/images", 0): with_room(0)}
    named = replace(CONTAINERD, argv=("containerd", "-c", "/c.toml"))
    assert found({**full, (runtime_directory, "/c.toml", 0): "/images"}, KUBELET, named).outcome is Outcome.FAILED
    flag = replace(CONTAINERD, argv=("containerd", "--root=/images"))
    assert found(full, KUBELET, flag).outcome is Outcome.FAILED
    silent = {(runtime_directory, "/etc/containerd/config.toml", 0): Absent("x")}
    assert found(silent, KUBELET, CONTAINERD).outcome is Outcome.PASSED


def test_a_disk_that_does_not_answer_costs_its_own_judgement_only() -> None:
    dead = {(host.disk_space, "/data", 0): Silent("server:/dead (nfs) at /data did not answer within 1 s")}
    result = found(dead)
    assert (result.outcome, result.reason) == (Outcome.UNKNOWN, "server:/dead (nfs) at /data did not answer within 1 s")
    result = found({**dead, (host.disk_space, "/var/lib/kubelet", 0): with_room(0)})
    assert (result.outcome, len(result.findings)) == (Outcome.FAILED, 1)


def test_what_cannot_be_read_is_unknown() -> None:
    assert found({(kubelet_file, "/k.yaml", 0): Denied("needs root to read /k.yaml")}).outcome is Outcome.UNKNOWN


def test_thresholds_are_read_as_the_kubelet_does() -> None:
    assert [quantity(text) for text in ("10%", "1Gi", "100M", "5", "1.5Ki", "", "x", "-1", "10 %")] == [
        0.1,
        GIB,
        10**8,
        5,
        1536,
        0,
        0,
        0,
        0,
    ]


@given(st.text())
def test_any_threshold_is_a_number(text: str) -> None:
    assert quantity(text) >= 0


@given(st.binary())
def test_any_configuration_is_read_or_malformed(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    file = tmp_path_factory.getbasetemp() / "configuration"
    file.write_bytes(data)
    look = SharedLook()
    with contextlib.suppress(Malformed):
        look.get(kubelet_file, str(file), 0)
    with contextlib.suppress(Malformed):
        look.get(etcd_directories, str(file), 0)
    with contextlib.suppress(Malformed):
        look.get(runtime_directory, str(file), 0)


# --- for real ---------------------------------------------------------------------------------------------------------

TMPFS = """
import subprocess, threading
subprocess.run(["mount", "-t", "tmpfs", "-o", sys.argv[2], "t", sys.argv[1]], check=True)
open(sys.argv[1] + "/filled", "wb").write(bytes(int(sys.argv[3])))
wait("ready")
"""
OWN_MOUNTS = ("unshare", "--user", "--map-root-user", "--mount")


def looked_at(*instances: Instance) -> Result:
    judgement = Judgement()
    judgement.judge(disk_full, CheckContext(SharedLook(), target(*instances)))
    return judgement.result(disk_full, target(*instances))


def test_a_full_disk_of_a_kubelet_is_found_in_its_own_mounts(tmp_path: Path) -> None:
    config = tmp_path / "k.yaml"
    config.write_text("kind: KubeletConfiguration\n")
    (tmp_path / "kubelet").mkdir()
    kubelet = replace(KUBELET, argv=("kubelet", f"--config={config}", f"--root-dir={tmp_path}/kubelet"))
    with child(TMPFS, f"{tmp_path}/kubelet", "size=64m", str(61 << 20), prefix=OWN_MOUNTS) as (process, _):
        (finding,) = looked_at(replace(kubelet, root=process.pid)).findings
        assert finding.subject == f"disk at {tmp_path}/kubelet"
        assert finding.message.endswith("is full, 3 MiB left: pods are evicted and no others start")
    with child(TMPFS, f"{tmp_path}/kubelet", "size=64m", "0", prefix=OWN_MOUNTS) as (process, _):
        assert looked_at(replace(kubelet, root=process.pid)).outcome is Outcome.PASSED


def test_a_disk_without_inodes_is_found(tmp_path: Path) -> None:
    with child(TMPFS, str(tmp_path), "size=900m,nr_inodes=2", "0", prefix=OWN_MOUNTS) as (process, _):
        etcd = replace(ETCD, argv=("etcd", f"--data-dir={tmp_path}/etcd"), root=process.pid)
        (finding,) = looked_at(etcd).findings
        assert "0 inodes left" in finding.message


# --- a node that up would start ---------------------------------------------------------------------------------------


def test_a_node_to_come_is_judged_by_the_settings_and_directories_that_it_would_have() -> None:
    """Of files that are not written yet the usual thresholds were taken, and 14 % of a disk stopped `up`."""
    kubelet = Instance(
        name="kubelet",
        source="what `up` would start",
        argv=("kubelet", "--config=/home/k.json"),
        planned=True,
        files={"/home/k.json": '{"evictionHard": {"imagefs.available": "2%", "nodefs.available": "2%"}}'},
        moved={"/var/lib/kubelet": "/home/private/var/lib/kubelet"},
    )
    containerd = Instance(
        name="containerd",
        source="what `up` would start",
        argv=("containerd", "--config=/home/c.toml"),
        planned=True,
        files={"/home/c.toml": 'root = "/home/containerd"'},
    )
    places = ("/home/private/var/lib/kubelet", "/home/containerd")

    def judged(available: int) -> Result:
        facts = {(host.disk_space, place, 0): with_room(available) for place in places}
        return run_check(disk_full, target(kubelet, containerd), facts=facts)

    assert judged(3 * GIB).outcome is Outcome.PASSED
    assert judged(GIB).outcome is Outcome.FAILED
