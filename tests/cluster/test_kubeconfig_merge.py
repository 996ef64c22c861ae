"""Merging into a person's kubeconfig, and taking it out again."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.person import let_pass

from kubedoctor.cluster import kubeconfig_merge
from kubedoctor.cluster.kubeconfig import Access, entries, entry_names, write_kubeconfig
from kubedoctor.cluster.kubeconfig_record import hunks, put_back
from kubedoctor.cluster.kubeconfig_text import with_entries, without_entries
from kubedoctor.cluster.paths import ClusterPaths
from kubedoctor.errors import KubedoctorError

PERSONS = """\
# mine, do not touch
apiVersion: v1
kind: Config
preferences: {}
clusters:
  # the one at work
  - name: work
    cluster:
      server: https://work.test:6443  # behind the VPN
      insecure-skip-tls-verify: true

  - {name: flow, cluster: {server: "https://flow.test"}}
    # belongs to the one above
contexts:
- context: {cluster: work, user: me}
  name: work
current-context: work   # most of the time
users:
- name: me
  user:
    token: |
      not-a-real-token

# the end
"""


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ClusterPaths:
    monkeypatch.setenv("KUBEDOCTOR_HOME", str(tmp_path / "kubedoctor"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("SUDO_UID", "KUBECONFIG"):
        monkeypatch.delenv(name, raising=False)
    return make_cluster("local")


def make_cluster(name: str, server: str = "https://127.0.0.1:6443") -> ClusterPaths:
    paths = ClusterPaths.of(name)
    paths.directory.mkdir(parents=True, exist_ok=True)
    for file in ("ca", "crt", "key"):
        (paths.directory / file).write_text(f"{file} of {name}")
    write_kubeconfig(
        own(paths),
        server=server,
        ca_file=str(paths.directory / "ca"),
        cert_file=str(paths.directory / "crt"),
        key_file=str(paths.directory / "key"),
        cluster=name,
        user="admin",
        embed=False,
    )
    return paths


def own(paths: ClusterPaths) -> Path:
    return paths.directory / "admin"


def merge(paths: ClusterPaths, **environment: str) -> kubeconfig_merge.Merged:
    return kubeconfig_merge.merge(paths, kubeconfig=own(paths), environment=environment)


def person_file(tmp_path: Path, text: str, mode: int = 0o600) -> Path:
    path = tmp_path / "config"
    path.write_bytes(text.encode())
    path.chmod(mode)
    return path


def test_entries_go_in_and_the_rest_stays(tmp_path: Path, cluster: ClusterPaths) -> None:
    path = person_file(tmp_path, PERSONS, 0o640)
    merged = merge(cluster, KUBECONFIG=str(path))
    assert (merged.path, merged.mode, merged.context) == (path, 0o640, "kubedoctor-local")
    text = path.read_text()
    for line in PERSONS.splitlines():
        assert line in text or line.startswith("current-context")
    assert "current-context: kubedoctor-local   # most of the time" in text
    before, after = yaml.safe_load(PERSONS), yaml.safe_load(text)
    for section in ("clusters", "contexts", "users"):
        assert after[section][:-1] == before[section]
    assert after["clusters"][-1] == {
        "name": "kubedoctor-local",
        "cluster": {
            "server": "https://127.0.0.1:6443",
            "certificate-authority-data": base64.b64encode(b"ca of local").decode(),
        },
    }
    assert path.stat().st_mode & 0o777 == 0o640
    assert list(tmp_path.glob("config*")) == [path], "no lock and no temporary file is left"


def test_unmerge_gives_the_file_back_to_the_byte(tmp_path: Path, cluster: ClusterPaths) -> None:
    path = person_file(tmp_path, PERSONS)
    merge(cluster, KUBECONFIG=str(path))
    assert kubeconfig_merge.unmerge(cluster) == (path,)
    assert path.read_text() == PERSONS
    assert not cluster.merged.exists()
    assert kubeconfig_merge.unmerge(cluster) == ()


def test_merging_twice_is_merging_once(tmp_path: Path, cluster: ClusterPaths) -> None:
    path = person_file(tmp_path, PERSONS)
    merge(cluster, KUBECONFIG=str(path))
    once = path.read_text()
    merge(cluster, KUBECONFIG=str(path))
    assert path.read_text() == once
    kubeconfig_merge.unmerge(cluster)
    assert path.read_text() == PERSONS


def test_two_clusters_come_and_go_in_any_order(tmp_path: Path, cluster: ClusterPaths) -> None:
    path = person_file(tmp_path, PERSONS)
    other = make_cluster("other", "https://127.0.0.1:7443")
    merge(cluster, KUBECONFIG=str(path))
    merge(other, KUBECONFIG=str(path))
    kubeconfig_merge.unmerge(cluster)
    data = yaml.safe_load(path.read_text())
    assert [one["name"] for one in data["clusters"]] == ["work", "flow", "kubedoctor-other"]
    assert data["current-context"] == "kubedoctor-other", "not ours to change"
    kubeconfig_merge.unmerge(other)
    assert yaml.safe_load(path.read_text()) == {**yaml.safe_load(PERSONS), "current-context": ""}


def test_file_that_kubectl_has_rewritten_loses_our_entries_by_name(tmp_path: Path, cluster: ClusterPaths) -> None:
    path = person_file(tmp_path, PERSONS)
    merge(cluster, KUBECONFIG=str(path))
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text())))  # sorted keys, no comments: what kubectl does
    kubeconfig_merge.unmerge(cluster)
    assert yaml.safe_load(path.read_text()) == yaml.safe_load(PERSONS)


def test_context_chosen_meanwhile_stays_chosen(tmp_path: Path, cluster: ClusterPaths) -> None:
    path = person_file(tmp_path, PERSONS)
    merge(cluster, KUBECONFIG=str(path))
    path.write_text(path.read_text().replace("current-context: kubedoctor-local", "current-context: work"))
    kubeconfig_merge.unmerge(cluster)
    assert yaml.safe_load(path.read_text())["current-context"] == "work"


def test_refresh_renews_the_entries_and_leaves_the_context(tmp_path: Path, cluster: ClusterPaths) -> None:
    path = person_file(tmp_path, PERSONS)
    assert kubeconfig_merge.refresh(cluster, kubeconfig=own(cluster)) == ()
    merge(cluster, KUBECONFIG=str(path))
    path.write_text(path.read_text().replace("current-context: kubedoctor-local", "current-context: work"))
    make_cluster("local", "https://127.0.0.1:9443")
    (merged,) = kubeconfig_merge.refresh(cluster, kubeconfig=own(cluster))
    data = yaml.safe_load(path.read_text())
    assert merged.path == path
    assert data["clusters"][-1]["cluster"]["server"] == "https://127.0.0.1:9443"
    assert data["current-context"] == "work"
    kubeconfig_merge.unmerge(cluster)
    assert yaml.safe_load(path.read_text()) == yaml.safe_load(PERSONS)


def test_file_that_was_not_there_is_made_and_goes_again(tmp_path: Path, cluster: ClusterPaths) -> None:
    path = tmp_path / "home" / ".kube" / "config"
    assert merge(cluster).path == path
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert yaml.safe_load(path.read_text())["current-context"] == "kubedoctor-local"
    kubeconfig_merge.unmerge(cluster)
    assert not path.parent.exists()


def test_file_that_was_made_stays_when_somebody_else_uses_it(tmp_path: Path, cluster: ClusterPaths) -> None:
    path = merge(cluster).path
    data = yaml.safe_load(path.read_text())
    data["users"].append({"name": "me", "user": {}})
    path.write_text(yaml.safe_dump(data))
    kubeconfig_merge.unmerge(cluster)
    assert yaml.safe_load(path.read_text())["users"] == [{"name": "me", "user": {}}]


def test_file_that_is_gone_is_nothing_to_do(tmp_path: Path, cluster: ClusterPaths) -> None:
    path = person_file(tmp_path, PERSONS)
    merge(cluster, KUBECONFIG=str(path))
    path.unlink()
    assert kubeconfig_merge.unmerge(cluster) == ()
    assert not cluster.merged.exists()


def test_first_of_kubeconfig_is_taken_but_never_a_clusters_own(tmp_path: Path, cluster: ClusterPaths) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    assert merge(cluster, KUBECONFIG=f"{own(cluster)}:{first}:{second}").path == first
    assert not second.exists()
    assert merge(cluster, KUBECONFIG=str(own(cluster))).path == tmp_path / "home" / ".kube" / "config"
    assert set(kubeconfig_merge.unmerge(cluster)) == {first, tmp_path / "home" / ".kube" / "config"}


def test_link_of_a_persons_own_is_followed_and_stays(tmp_path: Path, cluster: ClusterPaths) -> None:
    dotfiles = person_file(tmp_path, PERSONS)
    link = tmp_path / "link"
    link.symlink_to(dotfiles)
    merge(cluster, KUBECONFIG=str(link))
    assert link.is_symlink()
    assert "kubedoctor-local" in dotfiles.read_text()
    kubeconfig_merge.unmerge(cluster)
    assert dotfiles.read_text() == PERSONS


def test_lock_of_another_program_is_respected(
    tmp_path: Path, cluster: ClusterPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kubedoctor.cluster.persons_file._LOCK_SECONDS", 0.0)
    path = person_file(tmp_path, PERSONS)
    lock = tmp_path / "config.lock"
    lock.touch()
    with pytest.raises(KubedoctorError, match="another program holds") as caught:
        merge(cluster, KUBECONFIG=str(path))
    assert f"rm {lock}" in caught.value.hint
    assert path.read_text() == PERSONS
    assert lock.exists()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (json.dumps(yaml.safe_load(PERSONS)), "flow style"),
        ("clusters: [{name: a, cluster: {}}]\n", "has `clusters` in flow style"),
        ("clusters: {}\nusers: 3\n", "is not a kubeconfig"),
        ("- a\n- b\n", "is not a kubeconfig"),
        ("a: [\n", "is not YAML"),
        ("a: 1\n---\nb: 2\n", "is not YAML"),
        ("users:\n-\n  name: kubedoctor-local-admin\n  user: {}\n", "unusual layout at line"),
        ("  apiVersion: v1\n  kind: Config\n", "unusual layout at line 1"),
        ("users: &a\n- name: x\n  user: &u {}\n- name: y\n  user: *u\n", "aliases"),
        ("current-context: |\n  work\n", "unusual layout"),
        ("users:\n- name: x\n  user: {}\n...\n", None),
        ("--- # mine\nusers:\n- name: x\n  user: {}\n", None),
        ("", None),
        ("# only a comment", None),
        ("---\n", None),
    ],
)
def test_layout_that_is_not_edited_is_refused_in_one_line(
    tmp_path: Path, cluster: ClusterPaths, text: str, why: str | None
) -> None:
    path = person_file(tmp_path, text)
    if why is None:
        merge(cluster, KUBECONFIG=str(path))
        assert yaml.safe_load(path.read_text())["current-context"] == "kubedoctor-local"
        kubeconfig_merge.unmerge(cluster)
    else:
        with pytest.raises(KubedoctorError) as caught:
            merge(cluster, KUBECONFIG=str(path))
        assert why in caught.value.message
        assert "\n" not in caught.value.message
        assert "KUBECONFIG" in caught.value.hint
    assert path.read_text() == text


def test_file_that_is_no_text_is_refused(tmp_path: Path, cluster: ClusterPaths) -> None:
    path = tmp_path / "config"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(KubedoctorError, match="no UTF-8 text"):
        merge(cluster, KUBECONFIG=str(path))


def test_damaged_record_is_one_clear_line(tmp_path: Path, cluster: ClusterPaths) -> None:
    cluster.merged.write_text("{")
    with pytest.raises(KubedoctorError, match=r"merged\.json cannot be read") as caught:
        kubeconfig_merge.unmerge(cluster)
    assert "rm " in caught.value.hint


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
class TestUnderSudo:
    """Root acts for the person who called sudo."""

    UID = 65534  # nobody: there on every system

    @pytest.fixture
    def home(self, tmp_path: Path) -> Path:
        home = tmp_path / "nobody"
        home.mkdir()
        os.chown(home, self.UID, self.UID)
        let_pass(tmp_path)
        return home

    def test_file_belongs_to_the_caller(self, home: Path, cluster: ClusterPaths) -> None:
        path = home / "deep" / "config"
        merge(cluster, KUBECONFIG=str(path), SUDO_UID=str(self.UID))
        assert (path.stat().st_uid, path.parent.stat().st_uid) == (self.UID, self.UID)
        assert os.geteuid() == 0
        kubeconfig_merge.unmerge(cluster)
        assert not path.parent.exists()

    def test_link_to_what_only_root_may_write_is_refused(
        self, home: Path, cluster: ClusterPaths, tmp_path: Path
    ) -> None:
        victim = person_file(tmp_path, PERSONS, 0o644)
        (home / "config").symlink_to(victim)
        with pytest.raises(KubedoctorError, match=r"belongs to user 0|Permission denied"):
            merge(cluster, KUBECONFIG=str(home / "config"), SUDO_UID=str(self.UID))
        assert victim.read_text() == PERSONS
        assert (os.geteuid(), os.getegid()) == (0, 0)

    def test_plain_root_acts_as_the_owner_of_the_place(self, home: Path, cluster: ClusterPaths, tmp_path: Path) -> None:
        (tmp_path / "secret").mkdir(mode=0o700)
        (tmp_path / "secret" / "config").write_text(PERSONS)
        (home / ".kube").symlink_to(tmp_path / "secret")
        with pytest.raises(KubedoctorError, match="Permission denied"):
            merge(cluster, KUBECONFIG=str(home / ".kube" / "config"))
        assert (tmp_path / "secret" / "config").read_text() == PERSONS
        path = home / "config"
        merge(cluster, KUBECONFIG=str(path))
        assert path.stat().st_uid == self.UID


# --- any file a person may have ---------------------------------------------------------------------------------------

COMMENTS = st.sampled_from(["", "# note\n", "\n", "\n  # indented: not a key\n", "# clusters:\n\n"])
NAMES = st.sampled_from(["work", "kind-kind", "a b", "minikube", "prod:eu", "kubedoctor-other"])
BODIES = {
    "clusters": ("cluster", ["server: https://a.test", "certificate-authority-data: QUJD"]),
    "contexts": ("context", ["cluster: work", "user: me", "namespace: default"]),
    "users": ("user", ["token: abc", "username: 'x # y'", 'password: "p\\"q"']),
}


@st.composite
def items(draw: st.DrawFn, section: str) -> str:
    key, fields = BODIES[section]
    name = json.dumps(draw(NAMES))
    indent = draw(st.sampled_from(["", "  ", "    "]))
    body = draw(st.lists(st.sampled_from(fields), min_size=1, unique=True))
    style = draw(st.integers(0, 3))
    if style == 0:
        return f"{indent}- {{name: {name}, {key}: {{}}}}\n"
    inner = "".join(f"{indent}    {field}{draw(st.sampled_from(['', '  # why']))}\n" for field in body)
    if style == 1:
        return f"{indent}- name: {name}\n{indent}  {key}:\n{inner}"
    if style == 2:
        text = f"{indent}      some text\n\n{indent}      more\n"
        return f"{indent}- {key}:\n{inner}{indent}    extra: |\n{text}{indent}  name: {name}\n"
    return f"{indent}- {key}:\n{inner}{indent}    # below\n{indent}  name: {name}\n"


@st.composite
def sections(draw: st.DrawFn, name: str) -> str:
    kind = draw(st.integers(0, 5))
    if kind == 0:
        return ""
    if kind == 1:
        return f"{name}: []{draw(st.sampled_from(['', '  # none']))}\n"
    if kind == 2:
        return f"{name}:{draw(st.sampled_from(['', ' null', ' ~', ' # none']))}\n"
    listed = draw(st.lists(items(name), min_size=1, max_size=3))
    indent = len(listed[0]) - len(listed[0].lstrip(" "))
    level = "".join(reindent(item, indent) + draw(COMMENTS) for item in listed)
    return f"{name}:{draw(st.sampled_from(['', ' # all of them']))}\n{level}"


def reindent(item: str, indent: int) -> str:
    own_indent = len(item) - len(item.lstrip(" "))
    return "".join(
        " " * indent + line[own_indent:] if line.strip() else line for line in item.splitlines(keepends=True)
    )


@st.composite
def kubeconfigs(draw: st.DrawFn) -> str:
    current = draw(st.sampled_from(["", "current-context: work\n", "current-context: ''  # x\n", "current-context:\n"]))
    parts = [draw(sections(name)) for name in BODIES] + [current, "preferences: {}\n", "apiVersion: v1\nkind: Config\n"]
    text = draw(COMMENTS) + "".join(part + draw(COMMENTS) for part in draw(st.permutations(parts)))
    if draw(st.booleans()):
        text = text.rstrip("\n")
    return text.replace("\n", "\r\n") if draw(st.booleans()) else text


ENTRY_NAMES = entry_names("local")
ENTRIES = entries(ENTRY_NAMES, Access("https://127.0.0.1:6443", "QUJD", "REVG", "R0hJ"), embed=True)


def plain(text: str) -> dict[str, Any]:
    data: dict[str, Any] = yaml.safe_load(text)
    return data


@settings(max_examples=150, deadline=None)
@given(kubeconfigs(), st.booleans())
def test_any_file_gets_the_entries_and_comes_back_to_the_byte(text: str, choose: bool) -> None:
    merged = with_entries(Path("f"), text, ENTRIES, ENTRY_NAMES, choose=choose)
    before, after = plain(text), plain(merged)
    for section in BODIES:
        assert after[section][:-1] == (before.get(section) or [])
        assert after[section][-1]["name"].startswith("kubedoctor-local")
    assert after.get("current-context") == ("kubedoctor-local" if choose else before.get("current-context"))
    kept = [line.strip() for line in text.splitlines() if "#" in line]
    assert [line for line in kept if line.partition("#")[2] not in merged] == []
    assert put_back(merged, hunks(text, merged)) == text


@settings(max_examples=150, deadline=None)
@given(kubeconfigs())
def test_any_file_loses_the_entries_by_name(text: str) -> None:
    merged = with_entries(Path("f"), text, ENTRIES, ENTRY_NAMES, choose=True)
    previous = str(plain(text).get("current-context") or "")
    left, before = plain(without_entries(Path("f"), merged, ENTRY_NAMES, previous=previous)), plain(text)
    for section in BODIES:
        assert (left[section] or []) == (before.get(section) or [])
    known = [context["name"] for context in before.get("contexts") or []]
    assert left["current-context"] == (previous if previous in known else "")


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=kubeconfigs())
def test_merge_and_unmerge_leave_any_file_as_it_was(tmp_path: Path, cluster: ClusterPaths, text: str) -> None:
    path = person_file(tmp_path, text)
    merge(cluster, KUBECONFIG=str(path))
    merge(cluster, KUBECONFIG=str(path))
    kubeconfig_merge.unmerge(cluster)
    assert path.read_bytes() == text.encode()
