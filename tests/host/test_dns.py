from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.networks import network
from support.spoilt import spoilt

from kubedoctor.doctor.look import SharedLook
from kubedoctor.facts import Malformed, Silent
from kubedoctor.host.agent import dismiss, prepare
from kubedoctor.host.dns import DnsAnswer, dns_answer, dns_query, encode_question, is_reply, parse_reply

NAME = "kubernetes.default.svc.cluster.local"
Server = Callable[[bytes], list[bytes]]


def record(kind: int, data: bytes, name: bytes = b"\xc0\x0c") -> bytes:
    return name + struct.pack("!2HIH", kind, 1, 30, len(data)) + data


def reply(question: bytes, *records: bytes, flags: int = 0x8580, count: int | None = None) -> bytes:
    head = struct.pack("!5H", flags, 1, len(records) if count is None else count, 0, 0)
    return question[:2] + head + question[12:] + b"".join(records)


@contextlib.contextmanager
def served(answer: Server) -> Iterator[int]:
    """Yield the port of a server that answers each question with what *answer* gives."""
    with socket.socket(type=socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    question, sender = server.recvfrom(4096)
                    if question == b"end":
                        return
                    for datagram in answer(question):
                        server.sendto(datagram, sender)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            with socket.socket(type=socket.SOCK_DGRAM) as end:
                end.sendto(b"end", server.getsockname())
            thread.join()


def asked(answer: Server, name: str = NAME, kind: str = "A") -> DnsAnswer:
    with served(answer) as port:
        return dns_query("127.0.0.1", name, kind=kind, port=port)


def test_the_addresses_of_a_name_are_told() -> None:
    alias = record(5, b"\x01a\xc0\x0c")
    found = asked(lambda question: [reply(question, alias, record(1, b"\x0a\0\0\x01"), record(1, b"\x0a\0\0\x02"))])
    assert found == DnsAnswer(code="NOERROR", addresses=("10.0.0.1", "10.0.0.2"))
    six = asked(lambda question: [reply(question, record(28, bytes(15) + b"\x01"))], kind="AAAA")
    assert six.addresses == ("::1",)


@pytest.mark.parametrize(
    ("number", "code"), [(0, "NOERROR"), (2, "SERVFAIL"), (3, "NXDOMAIN"), (5, "REFUSED"), (9, "code 9")]
)
def test_a_server_may_know_none_and_says_why(number: int, code: str) -> None:
    assert asked(lambda question: [reply(question, flags=0x8580 | number)]) == DnsAnswer(code=code)


def test_datagrams_that_answer_no_question_of_ours_are_passed_over() -> None:
    def answer(question: bytes) -> list[bytes]:
        well = reply(question, record(1, b"\x0a\0\0\x01"))
        forged = reply(question, record(1, b"\x06\x06\x06\x06"))
        other = bytes([forged[0] ^ 1]) + forged[1:]
        return [b"", b"\0", question, other, forged[:12] + b"\x07" + forged[13:], forged[:20], well]

    assert asked(answer).addresses == ("10.0.0.1",)


def test_letters_may_come_back_in_another_case() -> None:
    def answer(question: bytes) -> list[bytes]:
        made = reply(question, record(1, b"\x0a\0\0\x01"))
        return [made[:12] + made[12 : len(question)].upper() + made[len(question) :]]

    assert asked(answer).addresses == ("10.0.0.1",)


def test_a_question_that_got_lost_is_asked_once_more() -> None:
    questions: list[bytes] = []

    def answer(question: bytes) -> list[bytes]:
        questions.append(question)
        return [reply(question, record(1, b"\x0a\0\0\x01"))] if len(questions) > 1 else []

    assert asked(answer).addresses == ("10.0.0.1",)
    assert questions[0] == questions[1]


def test_a_server_that_is_not_there_or_says_nothing_is_silent() -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    with pytest.raises(Silent, match=f"nobody listens on 127.0.0.1 port {port}/udp"):
        dns_query("127.0.0.1", NAME, port=port)
    with served(lambda _: []) as port, pytest.raises(Silent, match=r"did not answer a DNS question within 0\.1 s"):
        dns_query("127.0.0.1", NAME, port=port, timeout=0.1)


def test_a_server_that_talks_without_end_and_never_answers_costs_no_more_than_its_time() -> None:
    chatter = [b"\0" * 40] * 1000
    with served(lambda _: chatter) as port, pytest.raises(Silent):
        dns_query("127.0.0.1", NAME, port=port, timeout=0.2)


def test_an_answer_that_was_cut_says_so() -> None:
    found = asked(lambda question: [reply(question, record(1, b"\x0a\0\0\x01"), flags=0x8780, count=9)])
    assert found == DnsAnswer(code="NOERROR", addresses=("10.0.0.1",), truncated=True)


@pytest.mark.parametrize("bad", ["", ".", "a..b", "a" * 64, "a." * 140, "bj\u00f6rn.example", "\ud800"])
def test_what_is_no_name_is_not_asked_for(bad: str) -> None:
    with pytest.raises(Malformed):
        encode_question(bad)


def test_what_is_no_address_is_not_asked() -> None:
    with pytest.raises(Malformed, match="`dns` is not an IP address"):
        dns_query("dns", NAME)


def test_it_is_asked_in_the_network_of_another_process() -> None:
    with network() as made:
        prepare([made.net])
        with served(lambda question: [reply(question)]) as port:
            assert SharedLook().get(dns_answer, "127.0.0.1", NAME, 0, "A", port).code == "NOERROR"
            with pytest.raises(Silent, match="nobody listens"):
                SharedLook().get(dns_answer, "127.0.0.1", NAME, made.net, "A", port)
    dismiss()


QUESTION = struct.pack("!6H", 7, 0x100, 1, 0, 0, 0) + encode_question(NAME)
WELL = reply(QUESTION, record(5, b"\x01a\xc0\x0c"), record(1, b"\x0a\0\0\x01"), record(28, bytes(16)))


@given(change=st.data())
def test_what_is_spoilt_is_read_or_refused(change: st.DataObject) -> None:
    broken = change.draw(spoilt(WELL))
    if is_reply(broken, QUESTION):
        with contextlib.suppress(Malformed):
            parse_reply(broken, len(QUESTION))


@given(tail=st.binary(max_size=100), count=st.integers(0, 0xFFFF), flags=st.integers(0x8000, 0xFFFF))
def test_any_records_are_read_or_refused(tail: bytes, count: int, flags: int) -> None:
    made = reply(QUESTION, tail, count=count, flags=flags)
    assert is_reply(made, QUESTION)
    with contextlib.suppress(Malformed):
        parse_reply(made, len(QUESTION))
