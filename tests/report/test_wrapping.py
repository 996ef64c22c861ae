"""Lines fit, and nothing of what is said is lost."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kubedoctor.report.text import cells, visible
from kubedoctor.report.wrapping import wrapped

TEXT = st.text(st.characters(exclude_categories=()), max_size=80)


def test_words_go_on_where_the_first_line_begins() -> None:
    assert wrapped("one two three four", 14, first="  fix   ") == [
        "  fix   one",
        "        two",
        "        three",
        "        four",
    ]
    assert wrapped("one two three four", 10, first="- ", later="") == ["- one two", "three four"]


def test_a_long_word_stays_whole() -> None:
    assert wrapped("see /var/lib/a-long-directory/file now", 12) == ["see", "/var/lib/a-long-directory/file", "now"]


def test_nothing_is_one_empty_line() -> None:
    assert wrapped(" \n ", 10, first="x ") == ["x"]


@given(TEXT, st.integers(1, 40))
def test_a_line_fits_or_is_a_single_word_and_no_word_is_lost(text: str, width: int) -> None:
    lines = wrapped(text, width)
    words = [visible(word) for word in text.split()]
    assert [word for line in lines for word in line.split(" ") if word] == [
        w for word in words for w in word.split(" ") if w
    ]
    for line in lines:
        assert cells(line) <= width or line in words
        assert line.isprintable() or "\t" in line or not visible(line).isascii()
