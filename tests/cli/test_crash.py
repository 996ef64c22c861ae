"""What a crash file tells, and what it keeps to itself."""

from __future__ import annotations

import pytest

from kubedoctor.cli.crash import hide_secrets, redacted, traceback_of


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        (["up", "--name", "local"], ["up", "--name", "local"]),
        (["--token=abc"], ["--token=<hidden>"]),
        (["--token", "abc", "x"], ["--token", "<hidden>", "x"]),
        (["--password", "a=b"], ["--password", "a=<hidden>"]),
        (["--set", "kube-apiserver.token-auth-file=/x"], ["--set", "kube-apiserver.token-auth-file=<hidden>"]),
        (["--env", "etcd.AWS=abc=d"], ["--env", "etcd.AWS=<hidden>"]),
        (["--env=etcd.AWS=abc"], ["--env=etcd.AWS=<hidden>"]),
        (["--env", "abc"], ["--env", "<hidden>"]),
        (["--set", "etcd.quota=2"], ["--set", "etcd.quota=2"]),
        (["https://user:pw@host/"], ["https://<hidden>@host/"]),
        (["eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJr.c2ln"], ["<hidden>"]),
        (["-H", "Authorization: Bearer abc"], ["-H", "Authorization: Bearer <hidden>"]),
    ],
)
def test_secrets_on_the_command_line_are_hidden(given: list[str], shown: list[str]) -> None:
    assert redacted(given) == shown


def test_a_private_key_in_a_text_is_hidden() -> None:
    text = "before\n-----BEGIN EC PRIVATE KEY-----\nMHc\n-----END EC PRIVATE KEY-----\nafter"
    assert hide_secrets(text) == "before\n<hidden>\nafter"
    assert hide_secrets("-----BEGIN RSA PRIVATE KEY-----\ncut off") == "<hidden>"


def test_what_was_raised_tells_no_secret_and_lines_of_code_stay() -> None:
    def fail(token: str) -> None:
        raise ValueError(f"refused: password={token}, X-Api-Key: {token}") from KeyError(f"--token={token} is old")

    with pytest.raises(ValueError, match="refused") as told:
        fail("hunter2")
    shown = traceback_of(told.value)
    assert "hunter2" not in shown.replace('fail("hunter2")', "")
    assert "ValueError: refused: password=…, X-Api-Key: …" in shown
    assert "KeyError: '--token=…" in shown
    assert 'raise ValueError(f"refused: password={token}' in shown
