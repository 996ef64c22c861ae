"""Whether the clock is kept right: adjtimex(2), which needs no right and changes nothing. Standard library only."""

from __future__ import annotations

import ctypes
import os

from kubedoctor.facts import Look, fact
from kubedoctor.host.errors import fact_error
from kubedoctor.records import dataclass

_TIME_ERROR = 5  # sys/timex.h
_STA_UNSYNC = 0x40
_UNUSED = 11


class _Timeval(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("microseconds", ctypes.c_long))


class _Timex(ctypes.Structure):
    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("frequency", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("constant", ctypes.c_long),
        ("precision", ctypes.c_long),
        ("tolerance", ctypes.c_long),
        ("time", _Timeval),
        ("tick", ctypes.c_long),
        ("pulses", ctypes.c_long * 8),
        ("tai", ctypes.c_int),
        ("unused", ctypes.c_int * _UNUSED),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """What the kernel knows of its clock. `max_error` and `estimated_error` are seconds."""

    synchronised: bool  # somebody (chrony, timesyncd, ntpd, the hypervisor's guest) keeps it right
    max_error: float
    estimated_error: float
    status: int  # the STA_ bits of sys/timex.h


@fact("host.clock")
def clock(look: Look) -> Clock:
    """Whether the machine's clock is kept right, and how far off it may be."""
    del look
    libc = ctypes.CDLL(None, use_errno=True)
    values = _Timex(modes=0)
    state = libc.adjtimex(ctypes.byref(values))
    if state < 0:
        number = ctypes.get_errno()
        raise fact_error(OSError(number, os.strerror(number)), "the kernel's clock")
    return Clock(
        synchronised=state != _TIME_ERROR and not values.status & _STA_UNSYNC,
        max_error=values.maxerror / 1e6,
        estimated_error=values.esterror / 1e6,
        status=values.status,
    )
