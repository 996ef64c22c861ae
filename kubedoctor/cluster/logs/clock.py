"""When a line was written: time stamps of all formats as seconds since the epoch."""

from __future__ import annotations

import time
from datetime import UTC, datetime

_DAY = 86400.0


class Clock:
    """Turns the stamps of one log into times.

    klog writes neither year nor zone: the zone is this machine's, the year the one that puts the line before
    *reference*, the time the log was last written to. So a log of December reads right in January; one that is older
    than a year, and the hour that is there twice when daylight saving ends, cannot.
    """

    def __init__(self, reference: float) -> None:
        self.reference = reference
        self._minute = ("", 0.0)

    def time(self, stamp: str) -> float | None:
        """Return the seconds since the epoch, None for a stamp that is none."""
        try:
            if len(stamp) == 20 and stamp[4] == " ":  # klog's MMDD hh:mm:ss.uuuuuu
                return self._klog(stamp)
            if stamp[:10].isdigit():  # Kubernetes' JSON: milliseconds since the epoch; others have seconds
                value = float(stamp)
                return value / 1000 if value > 1e11 else value
            return _written_out(stamp)
        except (ValueError, OverflowError, OSError):
            return None

    def _klog(self, stamp: str) -> float:
        minute, seconds = stamp[:10], float(stamp[11:])
        if seconds >= 61:
            raise ValueError(stamp)
        if minute != self._minute[0]:
            self._minute = (minute, self._start_of(minute))
        return self._minute[1] + seconds

    def _start_of(self, minute: str) -> float:
        year = time.localtime(self.reference).tm_year
        month, day, hour, minutes = int(minute[:2]), int(minute[2:4]), int(minute[5:7]), int(minute[8:10])
        if not (1 <= month <= 12 and 1 <= day <= 31 and hour < 24 and minutes < 60):
            raise ValueError(minute)
        begin = time.mktime((year, month, day, hour, minutes, 0, 0, 0, -1))
        if begin > self.reference + _DAY:
            begin = time.mktime((year - 1, month, day, hour, minutes, 0, 0, 0, -1))
        return begin


def _written_out(stamp: str) -> float:
    """Return the time of RFC 3339, or of what etcd 3.4 and Go's log write: local, or UTC when they say so."""
    moment = datetime.fromisoformat(stamp.replace("/", "-"))
    return moment.timestamp()  # without a zone: local


def parse_since(text: str, now: float) -> float:
    """Return the time that `--since` means: `90s`, `5m`, `2h`, `1d`, sums of them, or RFC 3339; raise ValueError."""
    units = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": _DAY}
    rest, total = text.strip(), 0.0
    if rest and rest[-1] in units:
        number = ""
        for character in rest:
            if character in units:
                total += float(number) * units[character]
                number = ""
            else:
                number += character
        if total < 0 or total != total or total > now:
            raise ValueError(text)
        return now - total
    moment = datetime.fromisoformat(rest)
    return (moment if "T" in rest or " " in rest or moment.tzinfo else moment.replace(hour=0)).timestamp()


def written(moment: float) -> str:
    """Return a time as RFC 3339 in UTC with milliseconds."""
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
