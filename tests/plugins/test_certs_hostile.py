"""The checks of certificates on files and command lines of anybody: hostile, huge, of another kind, not there."""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kubedoctor_certs.checks import CHECKS
from kubedoctor_certs.issuers import wrong_issuer
from kubedoctor_certs.pairs import key_mismatch
from kubedoctor_certs.tables import AUTHORITIES, KUBECONFIGS, PAIRS, WEBHOOKS
from support.certificates import NOW, authority, issue
from support.control_plane import ControlPlane, looked_at, messages

from kubedoctor import Instance, Target, TargetKind
from kubedoctor.checks import Outcome
from kubedoctor.doctor.documents import Result
from kubedoctor.jsonform import to_json

FINE = {Outcome.PASSED, Outcome.FAILED, Outcome.UNKNOWN, Outcome.NOT_APPLICABLE}


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> ControlPlane:
    return ControlPlane(tmp_path_factory.mktemp("plane"))


def sound(result: Result) -> None:
    """Insist on an outcome, on findings of one printable line, and on a JSON form."""
    assert result.outcome in FINE
    for finding in result.findings:
        assert finding.message.isprintable()
        assert finding.subject.isprintable()
        assert all(one.observed.isprintable() for one in finding.evidence)
    json.dumps(to_json(result))


CONTENTS = [
    b"",
    b"\0" * 100,
    b"\xff\xfe",
    b"null",
    b"[]",
    b"kind: Config",
    b"-----BEGIN CERTIFICATE-----\n" * 50,
    issue("\x1b[31mred", "*").pem,
    issue(" ", key=authority().key).pem * 3,
    authority("kubernetes-ca").pem,
    authority("kubernetes-ca").key_pem,
    authority().public_pem,
]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_file_may_be_anything(plane: ControlPlane, data: st.DataObject) -> None:
    file = plane.directory / data.draw(st.sampled_from(sorted(one.name for one in plane.directory.iterdir())))
    others = [one.read_bytes() for one in plane.directory.iterdir()]
    kept = file.read_bytes()
    file.write_bytes(data.draw(st.sampled_from(CONTENTS + others) | st.binary(max_size=200)))
    try:
        for check in CHECKS:
            sound(plane.run(check))
    finally:
        file.write_bytes(kept)


flags = sorted(
    {"config", "config-file", "master", "etcd-servers", "listen-client-urls", "initial-cluster", "secure-port"}
    | {"service-cluster-ip-range", "advertise-address", "bind-address", "tls-sni-cert-key", "cert-dir", "data-dir"}
    | {name for table in (AUTHORITIES, KUBECONFIGS, WEBHOOKS) for names in table.values() for name in names}
    | {name for pairs in PAIRS.values() for pair in pairs for name in (pair.certificate, pair.key)}
)
values = st.sampled_from(
    [
        *(
            "https://[",
            "https://127.0.0.1:1",
            "http://x:y",
            "127.0.0.1",
            "10.0.0.0/24",
            "::/0",
            "10.0.0.0/33",
            "a,b,,c",
        ),
        *("", "true", "/", "/dev/null", "/dev/zero", "/proc/self/mem", "relative", "1" * 5000, "\x1b[2J", "\ud800"),
    ]
)
names = st.sampled_from([*PAIRS, *KUBECONFIGS, "k3s", "containerd"])


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(names, st.dictionaries(st.sampled_from(flags), values, max_size=6)), max_size=4),
    st.sampled_from(list(TargetKind)),
    st.sampled_from(["", "/nowhere"]),
)
def test_command_lines_may_say_anything(said: list[tuple[str, dict[str, str]]], kind: TargetKind, place: str) -> None:
    instances = tuple(
        Instance(
            name=name, source="the test", directory=place, argv=(name, *(f"--{flag}={v}" for flag, v in given.items()))
        )
        for name, given in said
    )
    target = Target(id="x", kind=kind, title="x", instances=instances, kubeconfig=place)
    for check in CHECKS:
        sound(looked_at(check, target, NOW.timestamp()))


def test_what_is_no_file_is_told(plane: ControlPlane, tmp_path: Path) -> None:
    mine = ControlPlane(tmp_path)
    Path(mine.path("etcd.crt")).unlink()
    os.mkfifo(mine.path("etcd.crt"))
    begin = time.perf_counter()
    (message,) = messages(mine.run(key_mismatch))
    assert message.endswith("etcd.crt is a fifo, not a file")
    assert time.perf_counter() - begin < 3


def test_a_link_in_a_circle_is_told(tmp_path: Path) -> None:
    mine = ControlPlane(tmp_path)
    Path(mine.path("etcd-ca.crt")).unlink()
    Path(mine.path("etcd-ca.crt")).symlink_to("etcd-ca.crt")
    assert "etcd-ca.crt" in messages(mine.run(wrong_issuer))[0]


def test_three_hundred_authorities_of_one_name_are_looked_through_in_time(tmp_path: Path) -> None:
    mine = ControlPlane(tmp_path)
    others = b"".join(authority("kubernetes-ca").pem for _ in range(299))
    mine.write("ca.crt", mine.ca.pem + others)
    begin = time.process_time()
    for check in CHECKS:
        assert messages(mine.run(check)) == []
    assert time.process_time() - begin < 3.0  # all of them, each with 70 ms of reading; one may take that long


def test_three_hundred_kubeconfigs_take_twice_as_long_as_half_of_them(tmp_path: Path) -> None:
    mine = ControlPlane(tmp_path)
    mine.run(wrong_issuer)

    def seconds(count: int) -> float:
        instances = []
        for number in range(count):
            copy = shutil.copy(mine.path("scheduler.conf"), mine.path(f"{number}.conf"))
            argv = ("kube-scheduler", f"--kubeconfig={copy}")
            instances.append(Instance(name="kube-scheduler", source=f"process {number}", argv=argv))
        mine.extra = tuple(instances)
        begin = time.process_time()
        for check in CHECKS:
            assert messages(mine.run(check)) == []
        return time.process_time() - begin

    half, whole = seconds(150), seconds(300)
    assert whole < 3.5 * half
