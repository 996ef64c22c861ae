"""The checks of the machine beside the real programs that the faults disturb."""

from __future__ import annotations

from pathlib import Path

import pytest
from kubedoctor_host.disk import disk_full
from support.children import child

from kubedoctor import Instance, Severity, Target, TargetKind
from kubedoctor.doctor.judge import CheckContext, Judgement
from kubedoctor.doctor.look import SharedLook

ETCD = """
import subprocess
binary, directory, room = sys.argv[1:]
subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={room}", "t", directory], check=True)
print("ready", flush=True)
sys.stdin.readline()
etcd = subprocess.Popen([binary, f"--data-dir={directory}/etcd"], stderr=subprocess.PIPE, text=True)
said = next(line for line in etcd.stderr if "ready to serve" in line or "failed to create WAL" in line)
etcd.kill(); etcd.wait()
wait(said.strip())
"""


@pytest.mark.integration
@pytest.mark.root
@pytest.mark.parametrize(
    ("room", "said", "severity"),
    [
        ("16m", "failed to create WAL", Severity.ERROR),
        ("160m", "ready to serve", Severity.WARNING),
        ("400m", "ready", None),
    ],
)
def test_etcd_starts_where_there_is_room_for_its_log_as_the_check_said(
    binaries: dict[str, Path], tmp_path: Path, room: str, said: str, severity: Severity | None
) -> None:
    arguments = (str(binaries["etcd"]), str(tmp_path), room)
    with child(ETCD, *arguments, prefix=("unshare", "--mount", "--net")) as (process, _):
        etcd = Instance(name="etcd", source="x", argv=("etcd", f"--data-dir={tmp_path}/etcd"), root=process.pid)
        cluster = Target(id="x", kind=TargetKind.OTHER, title="x", instances=(etcd,))
        judgement = Judgement()
        judgement.judge(disk_full, CheckContext(SharedLook(), cluster))
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write("\n")
        process.stdin.flush()
        assert said in process.stdout.readline()
    result = judgement.result(disk_full, cluster)
    assert [one.severity for one in result.findings] == ([severity] if severity else [])
