from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubedoctor.cluster.documents import Event, State
from kubedoctor.errors import KubedoctorError, UsageError
from kubedoctor.jsonform import to_json
from kubedoctor.report.timeline import Span, bring_up, draw, read_events, svg


def event(elapsed: float, component: str = "", state: str = "", kind: str = "state", message: str = "") -> Event:
    return Event(seq=1, time="", elapsed=elapsed, event=kind, component=component, state=state, message=message)


STORY = [
    event(0.02, "etcd", "waiting"),
    event(0.02, "kube-apiserver", "waiting", message="waits for etcd"),
    event(0.06, "etcd", "starting"),
    event(0.11, "etcd", "starting", "answer"),
    event(0.2, "etcd", "ready"),
    event(0.22, "kube-apiserver", "starting"),
    event(2.2, "kube-apiserver", "starting", "answer"),
    event(2.3, "kube-apiserver", "starting", "answer"),
    event(4.3, "kube-apiserver", "ready"),
    event(4.4, kind="ready"),
    event(9.0, "etcd", "failed", message="killed"),
]


def texts(picture: str) -> list[str]:
    return ["".join(element.itertext()) for element in ET.fromstring(picture).iter("{http://www.w3.org/2000/svg}text")]


def test_a_span_is_from_execution_over_the_first_answer_to_readiness() -> None:
    spans, ready = bring_up(STORY)
    assert spans == [Span("etcd", 0.06, 0.11, 0.2), Span("kube-apiserver", 0.22, 2.2, 4.3)]
    assert ready == 4.4


def test_the_times_stand_in_the_picture() -> None:
    shown = texts(svg(*bring_up(STORY), title="kubedoctor up, cluster local"))
    assert shown[0] == "kubedoctor up, cluster local: ready in 4.4 s"
    assert "4.3 s\nexec 0.2, answer 2.2" in shown


def test_what_ended_and_what_never_started_is_told() -> None:
    story = [
        *STORY[:6],
        event(1.3, "kube-apiserver", "backoff", message="exit status 1 <&>"),
        event(0.1, "x", "waiting"),
    ]
    shown = texts(svg(*bring_up(story), title="t"))
    assert shown[0] == "t: not ready"
    assert "never started" in shown
    assert "kube-apiserver: exit status 1 <&>" in shown


def test_a_half_written_line_is_left_out() -> None:
    line = json.dumps(to_json(STORY[0]))
    assert read_events([line, line[:30], "", "[]"]) == [STORY[0]]


@pytest.mark.parametrize("name", ["t.svg", "t.html"])
def test_the_file_needs_nothing_else(tmp_path: Path, name: str) -> None:
    events = tmp_path / "clusters/mine/places/node-1/events.jsonl"
    events.parent.mkdir(parents=True)
    events.write_text("\n".join(json.dumps(to_json(e)) for e in STORY))
    draw(events, tmp_path / name)
    written = (tmp_path / name).read_text()
    assert "cluster mine: ready in 4.4 s" in written
    assert "<script" not in written
    assert written.count("http") == 1, "the name of SVG's namespace"


def test_what_cannot_be_drawn_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"draws \.svg or \.html, not `t.png`"):
        draw(tmp_path / "events.jsonl", tmp_path / "t.png")
    with pytest.raises(KubedoctorError, match="cannot be read"):
        draw(tmp_path / "events.jsonl", tmp_path / "t.svg")
    (tmp_path / "events.jsonl").write_text("")
    with pytest.raises(KubedoctorError, match="tells of no component"):
        draw(tmp_path / "events.jsonl", tmp_path / "t.svg")


@given(
    st.lists(
        st.builds(
            event,
            st.floats(0, 1e6),
            st.text(max_size=10),
            st.sampled_from([*State, ""]),
            st.sampled_from(["state", "answer", "ready", "note"]),
            st.text(max_size=10),
        )
    ),
    st.text(max_size=20),
)
def test_any_events_make_a_well_formed_picture(events: list[Event], title: str) -> None:
    ET.fromstring(svg(*bring_up(events), title=title))
