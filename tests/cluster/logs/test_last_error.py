from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubedoctor.cluster.logs.last_error import LONGEST, LOOK_AT_BYTES, last_error

INFO = 'I1123 03:41:48.847853      19 serving.go:411] "Generated self-signed cert in-memory"\n'
NOISE = 'E1123 03:41:48.847853      19 kubelet.go:17] "Node not found yet" err="nodes \\"local\\" not found"\n'
FAILED = 'E1123 03:41:48.847970      19 run.go:72] "command failed" err='
FATAL = '{"level":"fatal","ts":"2026-11-23T03:33:34.994001Z","caller":"etcdmain/etcd.go:157",'
PANIC = '{"level":"panic","ts":"2026-11-23T03:33:34.994001Z","caller":"backend/backend.go:162",'
ETCD_INFO = (
    '{"level":"info","ts":"2026-11-23T03:33:34.993965Z","caller":"embed/etcd.go:424","msg":"closed etcd server"}\n'
)
GRPC = (
    "W1123 03:41:17.078621      19 logging.go:55] [core] [Channel #3 SubChannel #4] grpc: addrConn.createTransport "
    'failed to connect to {Addr: "127.0.0.1:2378", ServerName: "x", }. Err: connection error: desc = "transport: '
    'Error while dialing: dial tcp 127.0.0.1:2378: connect: connection refused"\n'
)


@pytest.mark.parametrize(
    ("log", "error"),
    [
        (
            INFO + FAILED + '"tls: private key does not match public key"\n',
            "tls: private key does not match public key",
        ),
        (INFO + FAILED + '"\\"nodelifecyle\\" is unknown"\n' + INFO, '"nodelifecyle" is unknown'),
        (FAILED + "<\n\tfirst\n\tsecond\n >\n", "first second"),
        ("Error: unknown flag: --tls-key-file\n", "Error: unknown flag: --tls-key-file"),
        ("flag provided but not defined: -bogus\nUsage:\n\n  etcd [flags]\n", "flag provided but not defined: -bogus"),
        (
            FATAL + '"msg":"discovery failed","error":"walpb: crc mismatch","stacktrace":"a\\n\\tb"}\n',
            "discovery failed: walpb: crc mismatch",
        ),
        (
            ETCD_INFO + FATAL + '"msg":"file descriptor limit too low","limit":24,"recommended-limit":150}\n',
            "file descriptor limit too low (limit 24, recommended-limit 150)",
        ),
        (
            PANIC + '"msg":"failed to open database","error":"invalid database"}\n'
            "panic: failed to open database\n\ngoroutine 108 [running]:\nmain.main()\n\tmain.go:28 +0x17\n",
            "failed to open database: invalid database",
        ),
        (
            PANIC + '"msg":"execute job failed","panic":"unmarshal should never fail"}\n'
            "panic: unmarshal should never fail [recovered]\n\tpanic: execute job failed\n\ngoroutine 1 [running]:\n",
            "execute job failed: unmarshal should never fail",
        ),
        ("panic: assignment to entry in nil map\n\ngoroutine 1 [running]:\n", "panic: assignment to entry in nil map"),
        (
            "F1123 03:41:48.847970      19 main.go:7] cannot go on\ngoroutine 1 [running]:\nmain.main()\n",
            "cannot go on",
        ),
        ("2026-11-23 01:11:30.079000 C | pkg/flags: conflicting variable\n", "pkg/flags: conflicting variable"),
        ('Traceback (most recent call last):\n  File "x", line 1\nValueError: no port\n', "ValueError: no port"),
        (NOISE + 'E1123 03:41:48.847970      19 server.go:337] "Leaderelection lost"\n' + INFO, "Leaderelection lost"),
        ("sh: 1: kubelett: not found\n", "sh: 1: kubelett: not found"),
        ("starting\ncannot open /etc/x: Permission denied\n\n", "cannot open /etc/x: Permission denied"),
        ("\x1b[31mError:\x1b[0m it \x1b]0;title\x07broke\n", "Error: it broke"),
        ("\0" * 5000 + "Error: after a hole\n", "Error: after a hole"),
        (
            GRPC + FAILED + '"not ready: context deadline exceeded"\n',
            "not ready: context deadline exceeded (dial tcp 127.0.0.1:2378: connect: connection refused)",
        ),
    ],
)
def test_what_ended_a_component_is_found(tmp_path: Path, log: str, error: str) -> None:
    path = tmp_path / "x.log"
    path.write_text(log)
    assert last_error(path) == error


@pytest.mark.parametrize(
    "log",
    [
        "",
        INFO * 3,
        NOISE + INFO,
        INFO + FAILED + '"finished without leader elect"\n',
        ETCD_INFO,
        "serving on :8080\n",
        "I1123 03:41:48.847853      19 x.go:1] it failed, but that is only information\n",
    ],
)
def test_a_log_without_a_real_error_tells_none(tmp_path: Path, log: str) -> None:
    path = tmp_path / "x.log"
    path.write_text(log)
    assert last_error(path) == ""


def test_an_error_of_an_earlier_run_does_not_answer_for_this_one(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    path.write_text(FAILED + '"old"\n')
    start = path.stat().st_size
    with path.open("a") as stream:
        stream.write(INFO)
    assert last_error(path) == "old"
    assert last_error(path, start=start) == ""


def test_an_error_as_the_very_last_thing_said_counts(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    path.write_text(INFO + NOISE)
    assert last_error(path) == 'Node not found yet: nodes "local" not found'


def test_only_the_end_of_a_huge_log_is_read(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    with path.open("w") as stream:
        stream.write("Error: too long ago\n")
        stream.write(INFO * (2 * LOOK_AT_BYTES // len(INFO)))
    assert last_error(path) == ""


def test_a_long_error_keeps_its_end_where_the_reason_stands(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    path.write_text(FAILED + '"start ' + "x" * 1000 + ' no such file or directory"\n')
    said = last_error(path)
    assert len(said) <= LONGEST
    assert said.startswith("start x")
    assert said.endswith("no such file or directory")


def test_a_log_that_cannot_be_read_tells_nothing(tmp_path: Path) -> None:
    assert last_error(tmp_path / "none") == ""
    assert last_error(tmp_path) == ""


def test_a_fifo_does_not_hold_the_keeper(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.log")
    assert last_error(tmp_path / "x.log") == ""


_BITS = st.sampled_from(
    [
        INFO,
        NOISE,
        FAILED,
        FATAL,
        PANIC,
        GRPC,
        "panic: ",
        "Traceback (most recent call last):",
        "\n",
        " >",
        "\t",
        '"',
        "<",
    ]
)


@given(
    st.one_of(
        st.binary(max_size=2000), st.lists(st.one_of(_BITS, st.text(max_size=20))).map(lambda x: "".join(x).encode())
    )
)
def test_any_bytes_give_one_short_printable_line(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any.log"
    path.write_bytes(data)
    said = last_error(path)
    assert len(said) <= LONGEST
    assert not any(ord(character) < 32 or 127 <= ord(character) < 160 for character in said)
