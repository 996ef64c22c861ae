"""Bytes that were well once: cut, with other bytes in them, with lengths that lie, or anything at all."""

from __future__ import annotations

from hypothesis import strategies as st


@st.composite
def spoilt(draw: st.DrawFn, data: bytes) -> bytes:
    """Return *data* with a few changes, or any bytes."""
    broken = bytearray(data)
    for _ in range(draw(st.integers(0, 4))):
        if not broken:
            break
        at = draw(st.integers(0, len(broken) - 1))
        match draw(st.sampled_from(("byte", "zeros", "ones", "cut", "remove", "insert"))):
            case "byte":
                broken[at] = draw(st.integers(0, 255))
            case "zeros":
                broken[at : at + 4] = b"\0\0\0\0"
            case "ones":
                broken[at : at + 4] = b"\xff\xff\xff\xff"
            case "cut":
                del broken[at:]
            case "remove":
                del broken[at : at + draw(st.integers(1, 8))]
            case "insert":
                broken[at:at] = draw(st.binary(min_size=1, max_size=8))
    return bytes(broken) if draw(st.integers(0, 9)) else draw(st.binary(max_size=64))
