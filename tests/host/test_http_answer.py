from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubedoctor.host.http_answer import HEADERS, Answer, read_answer


def pieces_of(data: bytes, size: int) -> Callable[[], bytes]:
    parts = iter([data[start : start + size] for start in range(0, len(data), size)])
    return lambda: next(parts, b"")


def read(data: bytes, *, size: int = 1 << 20, limit: int = 1000, head: bool = False) -> tuple[Answer, bool]:
    return read_answer(pieces_of(data, size), limit=limit, head=head)


LENGTH = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
CHUNKS = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n1;x=y\r\nd\r\n0\r\nTrailer: 1\r\n\r\n"
UNTIL_END = b"HTTP/1.0 503 Sorry\r\n\r\nnot yet"
ANNOUNCED = b"HTTP/1.1 100 Continue\r\n\r\n" + LENGTH


@pytest.mark.parametrize(
    ("sent", "status", "body", "reusable"),
    [
        (LENGTH, 200, b"ok", True),
        (LENGTH + b"more", 200, b"ok", False),
        (CHUNKS, 200, b"abcd", True),
        (UNTIL_END, 503, b"not yet", False),
        (ANNOUNCED, 200, b"ok", True),
        (b"HTTP/1.1 204 Nothing\r\n\r\n", 204, b"", True),
        (b"HTTP/1.1 200\r\nContent-Length: 0\r\nConnection: Close\r\n\r\n", 200, b"", False),
    ],
)
@pytest.mark.parametrize("size", [1, 7, 1000])
def test_answers_are_read_however_they_come(sent: bytes, status: int, body: bytes, reusable: bool, size: int) -> None:
    answer, again = read(sent, size=size)
    assert (answer.status, answer.body) == (status, body)
    assert again == (reusable if size == 1000 or sent != LENGTH + b"more" else again)


def test_an_answer_to_head_has_no_body_whatever_it_announces() -> None:
    assert read(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n", head=True) == (Answer(200, b""), True)


def test_names_of_headers_are_in_lower_case_and_repeated_ones_are_joined() -> None:
    answer, _ = read(b"HTTP/1.1 204 x\r\nA-B: 1\r\na-b:  2 \r\nDate: now\r\n\r\n")
    assert answer.headers == {"a-b": "1, 2", "date": "now"}


@pytest.mark.parametrize(
    "nonsense",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        b"\x15\x03\x01\x00\x02\x02\x16",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 20 x\r\n\r\n",
        b"HTTP/2.0 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1_0\r\n\r\n0123456789",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1" + b" " * HEADERS * 2,
        b"HTTP/1.1 200 OK\r\nA: " + b"x" * HEADERS * 2,
    ],
)
def test_what_is_not_http_is_refused(nonsense: bytes) -> None:
    with pytest.raises(ValueError, match=r"HTTP|Content-Length|chunk|too long"):
        read(nonsense)


@pytest.mark.parametrize("cut", [b"", b"HTTP/1.1 200 OK\r\n", LENGTH[:-1], CHUNKS[:-30], CHUNKS[:-2]])
def test_an_answer_that_ends_too_early_is_a_broken_connection(cut: bytes) -> None:
    with pytest.raises(ConnectionResetError):
        read(cut)


@pytest.mark.parametrize(
    "long",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 1001,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffff\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1f4\r\n" + b"x" * 500 + b"\r\n1f5\r\n",
    ],
)
def test_a_body_above_the_limit_is_refused_before_it_is_read(long: bytes) -> None:
    def stream() -> Iterator[bytes]:
        yield long
        pytest.fail("more was read than is needed to know that it is too long")

    source = stream()
    with pytest.raises(ValueError, match="too long"):
        read_answer(lambda: next(source), limit=1000)


@given(st.binary(max_size=400), st.integers(1, 50))
def test_whatever_a_server_sends_ends_in_an_answer_or_an_error(noise: bytes, size: int) -> None:
    for start in (b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"):
        try:
            answer, _ = read(start + noise, size=size)
        except (ValueError, ConnectionResetError):
            continue
        assert len(answer.body) <= 1000
