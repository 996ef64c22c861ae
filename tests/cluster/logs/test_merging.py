from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubedoctor.cluster.logs.clock import Clock
from kubedoctor.cluster.logs.lines import Level
from kubedoctor.cluster.logs.merging import Wanted, read
from kubedoctor.cluster.logs.reading import LONGEST_LINE, LogFile
from kubedoctor.cluster.logs.records import MOST_LINES, Grouping


def klog(second: int, text: str, level: str = "I") -> str:
    return f'{level}1123 03:{second // 60:02}:{second % 60:02}.000000      19 x.go:1] "{text}"'


def texts(logs: dict[str, Path], wanted: Wanted | None = None, last: int | None = None) -> list[str]:
    return [f"{r.component}: {r.text.partition('] ')[2] or r.text}" for r in read(logs, wanted or Wanted(), last=last)]


@pytest.fixture
def logs(tmp_path: Path) -> dict[str, Path]:
    (tmp_path / "a.log").write_text("\n".join([klog(1, "a1"), klog(4, "a4", "E"), ""]))
    (tmp_path / "b.log").write_text("\n".join([klog(2, "b2"), "\tmore of b2", klog(3, "b3"), "no newline"]))
    return {"a": tmp_path / "a.log", "b": tmp_path / "b.log", "none": tmp_path / "none.log"}


def test_logs_are_merged_in_time_order(logs: dict[str, Path]) -> None:
    assert texts(logs) == ['a: "a1"', 'b: "b2"\n\tmore of b2', 'b: "b3"', "b: no newline", 'a: "a4"']


def test_a_level_leaves_lesser_records_out(logs: dict[str, Path]) -> None:
    assert texts(logs, Wanted(level=Level.ERROR)) == ['a: "a4"']


def test_a_pattern_is_looked_for_in_the_whole_record(logs: dict[str, Path]) -> None:
    assert texts(logs, Wanted(pattern=re.compile("more"))) == ['b: "b2"\n\tmore of b2']


@pytest.mark.parametrize("count", range(7))
def test_the_last_records_are_the_last_of_all_logs_together(logs: dict[str, Path], count: int) -> None:
    everything = texts(logs)
    assert texts(logs, last=count) == everything[len(everything) - min(count, len(everything)) :]


def test_klog_values_that_span_lines_stay_with_their_record() -> None:
    lines = [klog(1, "config")[:-1] + '" x=<', "\ta: b", "", "plain", " > y=<", "\tz", " >", klog(2, "next")]
    records = list(Grouping("a", Clock(1.8e9), begin=0).records(lines))
    assert [record.text.count("\n") for record in records] == [6, 0]


def test_a_panic_takes_its_stacks_along() -> None:
    lines = ["panic: x", "", "goroutine 1 [running]:", "main.main()", "\tmain.go:1", klog(2, "next")]
    records = list(Grouping("a", Clock(1.8e9), begin=7).records(lines))
    assert [record.level for record in records] == [Level.FATAL, Level.INFO]
    assert records[0].time == 7
    assert records[0].text.endswith("main.go:1")


def test_what_goes_on_in_a_later_batch_continues_the_record() -> None:
    grouping = Grouping("a", Clock(1.8e9), begin=0)
    assert [r.continues for r in grouping.records([klog(1, "one")[:-1] + '" x=<', "\ta"])] == [False]
    assert [r.continues for r in grouping.records(["\tb", " >", klog(2, "two")])] == [True, False]


def test_a_record_without_end_is_cut() -> None:
    records = list(Grouping("a", Clock(1.8e9), begin=0).records(["panic: x", *["frame"] * (2 * MOST_LINES)]))
    assert len(records) == 3
    assert [record.continues for record in records] == [False, True, True]


def test_a_line_without_end_is_cut(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_bytes(b"x" * (3 * LONGEST_LINE) + b"\n" + klog(1, "next").encode())
    first, *_, last = texts({"a": path})
    assert all(len(line) <= LONGEST_LINE + 1 for line in first.removeprefix("a: ").split("\n"))
    assert last == 'a: "next"'


def test_holes_of_a_truncated_log_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    with path.open("wb") as stream:
        stream.seek(5 << 20)
        stream.write(klog(1, "after").encode())
    assert texts({"a": path}) == ['a: "after"']
    assert texts({"a": path}, last=1) == ['a: "after"']


def test_what_is_no_regular_file_is_no_log(tmp_path: Path) -> None:
    assert texts({"a": tmp_path, "b": Path("/dev/null")}) == []


def test_since_finds_its_place_in_a_large_log(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_text("".join(klog(second // 20, f"{second} {'x' * 900}") + "\n" for second in range(3000)))
    clock = Clock(path.stat().st_mtime)
    since = clock.time("1123 03:02:00.000000")
    assert since is not None
    found = texts({"a": path}, Wanted(since=since))
    assert len(found) == 3000 - 120 * 20
    assert found[0].startswith('a: "2400 ')
    file = LogFile("a", path)
    assert file.open()
    file.seek_since(since)
    assert sum(1 for _ in file.records()) < 1200, "most of the log was not read"
    file.close()


@given(
    st.lists(st.one_of(st.binary(max_size=40), st.integers(0, 3599).map(lambda n: klog(n, "x").encode())), max_size=30)
)
def test_no_line_of_any_log_is_lost(tmp_path_factory: pytest.TempPathFactory, lines: list[bytes]) -> None:
    path = tmp_path_factory.getbasetemp() / "any.log"
    path.write_bytes(b"\n".join(lines))
    shown = b"\n".join(record.text.encode(errors="surrogateescape") for record in read({"a": path}, Wanted()))
    wanted = b"\n".join(lines).replace(b"\0", b"")

    def solid(text: bytes) -> bytes:
        return b"".join(text.split())

    assert solid(shown) == solid(wanted)


@given(
    st.lists(st.sampled_from(["plain", "\tmore", klog(1, "x"), "", klog(2, "y" * 200)]), max_size=60), st.integers(0, 8)
)
def test_the_last_records_are_the_end_of_all(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str], count: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "last.log"
    path.write_text("\n".join(lines))
    everything = texts({"a": path})
    assert texts({"a": path}, last=count) == everything[len(everything) - min(count, len(everything)) :]
