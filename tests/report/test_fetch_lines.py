from __future__ import annotations

import io

from kubedoctor.report.fetch_lines import FetchLines


def test_log_of_ci_has_a_line_when_something_begins_and_when_it_is_there() -> None:
    stream = io.StringIO()
    with FetchLines(stream, live=False) as lines:
        for done in range(0, 101, 5):
            lines("etcd", f"{done} of 100 MB", done, 100)
    assert stream.getvalue() == "  etcd: 0 of 100 MB\n  etcd: 100 of 100 MB\n"


def test_binary_that_is_passed_over_stays_on_the_screen() -> None:
    stream = io.StringIO()
    with FetchLines(stream, live=True) as lines:
        lines("etcd", "fetching", 1, 10)
        lines("kubectl", "passed over /usr/bin/kubectl (v1.30.0): v1.37.2 is wanted")
    assert "\r\x1b[K  kubectl: passed over /usr/bin/kubectl (v1.30.0): v1.37.2 is wanted\n" in stream.getvalue()
    assert stream.getvalue().endswith("\r\x1b[K")


def test_foreign_text_cannot_steer_the_terminal() -> None:
    stream = io.StringIO()
    FetchLines(stream, live=False)("etcd", "\x1b[2Jgone")
    assert stream.getvalue() == "  etcd: \\x1b[2Jgone\n"
