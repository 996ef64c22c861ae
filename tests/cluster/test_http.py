from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubedoctor.cluster.http import Answer, Connection


@contextlib.contextmanager
def server(*answers: bytes, pieces: int = 1 << 20) -> Iterator[int]:
    """Serve one connection an answer at a time, in pieces of so many bytes, then close it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with contextlib.suppress(OSError):
                connection, _ = listener.accept()
                with connection:
                    for answer in answers:
                        connection.recv(65536)
                        for start in range(0, len(answer), pieces):
                            connection.sendall(answer[start : start + pieces])

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            with contextlib.suppress(OSError):  # a server that nobody asked must end too
                socket.create_connection(listener.getsockname(), timeout=1).close()
            thread.join(5)


PLAIN = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n1;x=y\r\nd\r\n0\r\n\r\n"
UNTIL_CLOSE = b"HTTP/1.0 503 Sorry\r\n\r\nnot yet"


@pytest.mark.parametrize(
    ("sent", "expected"),
    [(PLAIN, Answer(200, b"ok")), (CHUNKED, Answer(200, b"abcd")), (UNTIL_CLOSE, Answer(503, b"not yet"))],
)
@pytest.mark.parametrize("pieces", [1, 7, 1000])
def test_answers_are_read_however_they_come(sent: bytes, expected: Answer, pieces: int) -> None:
    with server(sent, pieces=pieces) as port:
        connection = Connection("127.0.0.1", port)
        assert connection.request("GET", "/") == expected
        connection.close()


def test_connection_is_kept_between_requests() -> None:
    with server(PLAIN, CHUNKED, PLAIN) as port:
        connection = Connection("127.0.0.1", port)
        assert [connection.request("GET", "/").body for _ in range(3)] == [b"ok", b"abcd", b"ok"]
        connection.close()


@pytest.mark.parametrize(
    "nonsense",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffff\r\n",
        b"x" * 100_000,
        b"",
    ],
)
def test_nonsense_is_an_error_of_the_connection_or_a_short_body(nonsense: bytes) -> None:
    with server(nonsense) as port:
        connection = Connection("127.0.0.1", port)
        with contextlib.suppress(OSError):
            assert connection.request("GET", "/").body == b"short"
        connection.close()


@given(st.binary(max_size=300))
def test_whatever_a_server_sends_ends_in_an_answer_or_an_error(noise: bytes) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(b"HTTP/1.1 " + noise)
        theirs.shutdown(socket.SHUT_WR)
        connection = Connection("127.0.0.1", 1)
        with contextlib.suppress(OSError, ValueError):
            assert isinstance(connection._read(ours), Answer)


def test_silent_server_costs_the_timeout_only() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        connection = Connection("127.0.0.1", listener.getsockname()[1], timeout=0.1)
        with pytest.raises(OSError, match="timed out"):
            connection.request("GET", "/")
        connection.close()
