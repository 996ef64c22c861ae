"""The elements of a set or map of nf_tables, looked up by key. Standard library only."""

from __future__ import annotations

from functools import cached_property

from kubedoctor.host.netlink import attribute
from kubedoctor.host.nftables import Element, NftSet, parse_elements
from kubedoctor.records import dataclass

_CATCHES_ALL = attribute(3, b"\0\0\0\2")  # the flags of an element


@dataclass(frozen=True)
class LoadedSet:
    """A set with its elements as they were dumped, read as far as they are needed."""

    what: NftSet
    data: bytes

    @property
    def width(self) -> int:
        """Bytes of a key."""
        return self.what.width

    def find(self, key: bytes) -> Element | None:
        """Return the element that *key* is in: itself, a range around it, or the one that catches all."""
        if not self.what.intervals:
            exact = next(parse_elements(self.data, key), None)
            if exact is not None:
                return exact
        else:
            found = self._around(key)
            if found is not None:
                return found
        return next((one for one in self.all() if one.catches_all), None) if self._may_catch_all else None

    def all(self) -> tuple[Element, ...]:
        """Return every element."""
        return self._elements

    @cached_property
    def _elements(self) -> tuple[Element, ...]:
        return tuple(parse_elements(self.data))

    @property
    def _may_catch_all(self) -> bool:
        return _CATCHES_ALL in self.data

    def _around(self, key: bytes) -> Element | None:
        """Return the range that *key* is in: elements begin and end ranges, or have both ends (of several fields)."""
        begin: Element | None = None
        for one in self.all():
            if one.catches_all:
                continue
            if one.end:
                if _is_inside(one, key):
                    return one
            elif one.key <= key and (begin is None or (begin.key, begin.ends_range) <= (one.key, one.ends_range)):
                begin = one
        return None if begin is None or begin.ends_range else begin


def _is_inside(element: Element, key: bytes) -> bool:
    """Return whether each field of *key*, four bytes each, lies between the ends of the range.

    Longer fields are compared piece by piece, which is exact for prefixes and single values.
    """
    return all(element.key[at : at + 4] <= key[at : at + 4] <= element.end[at : at + 4] for at in range(0, len(key), 4))
