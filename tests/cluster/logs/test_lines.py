from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubedoctor.cluster.logs.lines import Head, Level, head, message, plain_level


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ('I1123 03:41:48.847853      19 x.go:1] "m"', Head(Level.INFO, "1123 03:41:48.847853")),
        ('W1123 03:41:48.847853      19 x.go:1] "m"', Head(Level.WARNING, "1123 03:41:48.847853")),
        ("F1123 03:41:48.847853 1234567 x.go:1] m", Head(Level.FATAL, "1123 03:41:48.847853")),
        (
            '{"level":"warn","ts":"2026-11-23T03:40:22.122788Z","caller":"a"}',
            Head(Level.WARNING, "2026-11-23T03:40:22.122788Z"),
        ),
        ('{"ts":1764000000000.5,"caller":"a/b.go:1","msg":"m","v":0}', Head(Level.INFO, "1764000000000.5")),
        ('{"ts":1764000000000.5,"caller":"a/b.go:1","msg":"m","err":"e"}', Head(Level.ERROR, "1764000000000.5")),
        ('time="2026-11-23T03:37:41Z" level=warning msg="m"', Head(Level.WARNING, "2026-11-23T03:37:41Z")),
        ("2026-11-23 01:11:30.079000 C | pkg/flags: m", Head(Level.FATAL, "2026-11-23 01:11:30.079000")),
        ("WARNING: 2026/11/23 01:11:23 [core] m", Head(Level.WARNING, "2026/11/23 01:11:23")),
        ("2026/11/23 01:11:23 http: TLS handshake error", Head(Level.INFO, "2026/11/23 01:11:23")),
        ("[ERROR] plugin/errors: 2", Head(Level.ERROR, "")),
        (
            '{"kind":"Event","level":"Metadata","stageTimestamp":"2026-11-23T03:37:41Z"}',
            Head(Level.INFO, "2026-11-23T03:37:41Z"),
        ),
    ],
)
def test_every_format_is_known_by_its_head(line: str, found: Head) -> None:
    assert head(line) == found


@pytest.mark.parametrize("line", ["", "Usage:", "\tmain.go:28 +0x17", " >", "{", "{}x", "[1]", "Info: x", "20 lines"])
def test_other_lines_have_none(line: str) -> None:
    assert head(line) is None


def test_words_of_complaint_tell_the_level_of_plain_lines() -> None:
    assert plain_level("panic: x") == Level.FATAL
    assert plain_level("Error: unknown flag") == Level.ERROR
    assert plain_level("listening") == Level.INFO


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (
            'E1123 03:41:48.847853      19 x.go:1] "Bad thing" err="open \\"a\\": no\\tx" pod="b"',
            'Bad thing: open "a": no\tx',
        ),
        ('E1123 03:41:48.847853      19 x.go:1] "command failed" err="e"', "e"),
        ("E1123 03:41:48.847853      19 x.go:1] it failed: x", "it failed: x"),
        ('E1123 03:41:48.847853      19 x.go:1] "M" err=<\n\tone\n\ttwo\n > pod="b"', "M: one\ntwo"),
        ('E1123 03:41:48.847853      19 x.go:1] "M" err=plain a="b"', "M: plain"),
        ('{"ts":1764000000000.5,"msg":"m","err":"e"}', "m: e"),
        ('{"level":"info","ts":"2026-11-23T03:40:22.122788Z","msg":"m","limit":24,"args":["x"]}', "m (limit 24)"),
        ('time="2026-11-23T03:37:41Z" level=error msg="it \\"x\\"" error=bad', 'it "x": bad'),
        ("[ERROR] plugin/errors: 2", "plugin/errors: 2"),
    ],
)
def test_a_message_is_what_a_person_reads(line: str, said: str) -> None:
    assert message(line) == said


@given(st.text())
def test_any_text_has_a_message_and_a_head_or_none(text: str) -> None:
    message(text)
    head(text)


@given(st.text(alphabet='IWEF0123456789 :.]x"<\\{}=errmsg\n\t', max_size=80))
def test_text_like_log_lines_has_a_message(text: str) -> None:
    message(f"E1123 03:41:48.847853      19 x.go:1] {text}")
    message('{"ts":1764000000000.5,' + text)
