"""The blocks of a PEM file."""

from __future__ import annotations

from kubedoctor.host.pem import blocks, is_der

BLOCK = b"-----BEGIN CERTIFICATE-----\naGVsbG8=\n-----END CERTIFICATE-----\n"


def test_blocks_are_found_between_anything_with_their_lines() -> None:
    found = list(blocks(b"Certificate:\n  Data\n" + BLOCK + b"\n" + BLOCK.replace(b"\n", b" \r\n")))
    assert [(one.label, one.data, one.line) for one in found] == [
        ("CERTIFICATE", b"hello", 3),
        ("CERTIFICATE", b"hello", 7),
    ]
    assert found[0].raw == BLOCK


def test_headers_are_no_data() -> None:
    text = BLOCK.replace(b"\naGV", b"\nProc-Type: 4,ENCRYPTED\nDEK-Info: x\n\naGV")
    assert [one.data for one in blocks(text)] == [b"hello"]


def test_what_is_not_base64_has_no_data() -> None:
    for wrong in (b"a*b=", b"aGVsbG8", b"=", b"aGVsbG8=aGVsbG8=", b""):
        assert [one.data for one in blocks(BLOCK.replace(b"aGVsbG8=", wrong))] == [None]


def test_a_beginning_without_its_end_is_no_block() -> None:
    begin, _, rest = BLOCK.partition(b"\n")
    assert list(blocks(begin)) == []
    assert list(blocks(BLOCK.replace(b"END CERT", b"END OTHER CERT"))) == []
    assert [one.data for one in blocks(begin + b"\n" + BLOCK)] == [b"hello"]
    assert list(blocks(b"  " + BLOCK)) == []  # Go wants it at the start of a line
    assert list(blocks(rest)) == []


def test_der_is_told_from_pem() -> None:
    assert is_der(b"\x30\x82\x01\x00")
    assert not is_der(BLOCK)
