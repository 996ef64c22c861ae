from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubedoctor.host.process import _CUT
from kubedoctor.host.redaction import redacted


@pytest.mark.parametrize(
    ("argv", "shown"),
    [
        (["x", "--token=abc"], ("x", "--token=…")),
        (["x", "--token", "abc", "y"], ("x", "--token", "…", "y")),
        (["x", "--password", "--v=2"], ("x", "--password", "--v=2")),
        (["x", "--token-auth-file=/a"], ("x", "--token-auth-file=/a")),
        (["x", "--anonymous-auth=false"], ("x", "--anonymous-auth=false")),
        (["x", "--use-service-account-credentials=true"], ("x", "--use-service-account-credentials=true")),
        (["x", "--tls-private-key-file=/a"], ("x", "--tls-private-key-file=/a")),
        (["x", "--authorization-mode=Node,RBAC"], ("x", "--authorization-mode=Node,RBAC")),
        (["x", "https://bob:pw@host/"], ("x", "https://bob:…@host/")),
        (["x", "https://bob:p@w@host/"], ("x", "https://bob:…@host/")),
        (["x", "-H", "Authorization: Bearer abc"], ("x", "-H", "Authorization: Bearer …")),
        (["env", "DB_PASSWORD=abc"], ("env", "DB_PASSWORD=…")),
        (["sh", "-c", "kubeadm join --token abc --v=2"], ("sh", "-c", "kubeadm join --token … --v=2")),
        (["x", "--password=a b c"], ("x", "--password=…")),
        (["sh", "-c", "x --password='a b' y"], ("sh", "-c", "x --password=… y")),
        (["x", '{"password": "abc", "user": "bob"}'], ("x", '{"password": …, "user": "bob"}')),
        (["x", "abcdef.0123456789abcdef"], ("x", "…")),
        (["x", "a=eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJrdWJlIn0.c2ln"], ("x", "a=…")),
        (["x", "-----BEGIN RSA PRIVATE KEY-----\nabc\n-----END RSA PRIVATE KEY-----"], ("x", "…")),
        (["sh", "-c", "the token is here"], ("sh", "-c", "the token is here")),
        (["sh", "-c", "the token password=abc"], ("sh", "-c", "the token password=…")),
        (["sh", "-c", "x=y token: 'a b' --secret c d"], ("sh", "-c", "x=y token: … --secret … d")),
        (["sh", "-c", f"y {'x' * 300}token=abc d"], ("sh", "-c", f"y {'x' * 300}token=… d")),
        (["x", "--passphrase=abc", "--db-pass=abc"], ("x", "--passphrase=…", "--db-pass=…")),
        (["x", "--etcd-s3-access-key=abc"], ("x", "--etcd-s3-access-key=…")),
        (["x", "--bypass-checks=abc"], ("x", "--bypass-checks=abc")),
        (["x", "https://ghp_abc@host/x.git"], ("x", "https://…@host/x.git")),
        (["x", "https://host/a@b"], ("x", "https://host/a@b")),
        (["HTTP_PROXY=bob:abc@proxy:3128"], ("HTTP_PROXY=bob:…@proxy:3128",)),
        (["x", "--proxy=bob:abc@proxy:3128"], ("x", "--proxy=bob:…@proxy:3128")),
        (["x", "--image=pause:3.10@sha256:abc"], ("x", "--image=pause:3.10@sha256:abc")),
        (["x", "pg://h/db?sslmode=on&sslpassword=abc&x=1"], ("x", "pg://h/db?sslmode=on&sslpassword=…&x=1")),
        (["curl", "-u", "bob:abc", "-ubob:abc", "--user", "bob"], ("curl", "-u", "bob:…", "-ubob:…", "--user", "bob")),
        (["docker", "run", "-u", "1000:1000"], ("docker", "run", "-u", "1000:1000")),
        (["/usr/bin/mysql", "-pabc", "-u", "root"], ("/usr/bin/mysql", "-p…", "-u", "root")),
        (["sshpass", "-p", "abc", "ssh", "-p", "22"], ("sshpass", "-p", "…", "ssh", "-p", "…")),
        (["redis-cli", "-a", "abc", "get", "x"], ("redis-cli", "-a", "…", "get", "x")),
        (["openssl", "rsa", "-passin", "pass:abc"], ("openssl", "rsa", "-passin", "pass:…")),
        (["docker", "exec", "db", "mysql", "-pabc"], ("docker", "exec", "db", "mysql", "-p…")),
        (["curl", "--user=bob:abc", "--user=1000:1000"], ("curl", "--user=bob:…", "--user=1000:1000")),
        (["sh", "-c", "mysql -pabc -u root db"], ("sh", "-c", "mysql -p… -u root db")),
        (
            ["sh", "-c", "x; sudo mysql -uroot -p'a b;c' db; ls -p y"],
            ("sh", "-c", "x; sudo mysql -uroot -p… db; ls -p y"),
        ),
        (["sh", "-c", 'mysqladmin -p "a b" ping && mkdir -p /x'], ("sh", "-c", "mysqladmin -p … ping && mkdir -p /x")),
        (["sh", "-c", 'bash -c "mysql -pabc" && mkdir -p /x'], ("sh", "-c", 'bash -c "mysql -p…" && mkdir -p /x')),
        (["sh", "-c", 'bash -c "mysql -p\\"a b\\" db"'], ("sh", "-c", 'bash -c "mysql -p… db"')),
        (["sh", "-c", "(redis-cli -a abc ping)|grep -a PONG"], ("sh", "-c", "(redis-cli -a … ping)|grep -a PONG")),
        (["sh", "-c", "mysql -p -u root"], ("sh", "-c", "mysql -p -u root")),
        (["sh", "-c", "mysql -p'a b"], ("sh", "-c", "mysql -p…")),
        (["sh", "-c", "sshpass -p abc ssh h"], ("sh", "-c", "sshpass -p … ssh h")),
        (["sh", "-c", "mkdir -p /x && mysqld -p 3306"], ("sh", "-c", "mkdir -p /x && mysqld -p 3306")),
        (["sh", "-c", "curl -u bob:abc -ubob:abc http://h"], ("sh", "-c", "curl -u bob:… -ubob:… http://h")),
        (["sh", "-c", "curl --user 'bob:abc' h; su -u 1:2"], ("sh", "-c", "curl --user 'bob:…' h; su -u 1:2")),
        (["sh", "-c", "openssl rsa -passin pass:abc -in x"], ("sh", "-c", "openssl rsa -passin pass:… -in x")),
        (["/run/secrets/token: Input/output error"], ("/run/secrets/token: Input/output error",)),
        (["no access with token: abc"], ("no access with token: …",)),
    ],
)
def test_secrets_are_not_shown(argv: list[str], shown: tuple[str, ...]) -> None:
    assert redacted(argv) == shown


@given(st.lists(st.text()))
def test_redaction_keeps_the_number_of_arguments(argv: list[str]) -> None:
    assert len(redacted(argv)) == len(argv)


SECRET = "hunter2hunter2"


@given(
    st.text(),
    st.sampled_from(
        [
            *("--token={}", "--bearer-token={}", "https://u:{}@h/p", "X_PASSWORD={}", "sh --secret {}", "Basic {}"),
            *("mysql -p{}", "sudo mysql -uroot -p {}", "x; redis-cli -a '{} x'", "curl -s -u bob:{}", "--user=bob:{}"),
        ]
    ),
    st.text(),
)
def test_a_secret_is_hidden_whatever_stands_beside_it(before: str, form: str, after: str) -> None:
    shown = redacted([before.replace(SECRET, ""), form.format(SECRET), after.replace(SECRET, "")])
    assert SECRET not in "\0".join(shown)


@given(st.text(alphabet="-=:/@ \"'{}tokenpassword.eyJ\n", max_size=300))
def test_redaction_takes_no_time_to_speak_of(text: str) -> None:
    redacted([text * 50])


@pytest.mark.parametrize(
    "text",
    [
        *(
            " " + word
            for word in ("token", "token-", "a", "-", "token=", 'token="', "bearer ", "token ", "authorization")
        ),
        *("?token", "?a", "@=a:", "a:a@", "://a://a:", "eyJ", "eyJaaaaaaaa.", "abcdef."),
        *("-----BEGIN ", "-----BEGIN PRIVATE KEY-----", "token:\\t", "{'token", "pass:"),
        *(
            "mysql -p",
            " -p",
            "mysql -p'",
            'mysql -p"',
            'mysql -p\\"',
            "mysql -p\\",
            "mysql ",
            " -u ",
            " -u a",
            " -passin ",
        ),
    ],
)
def test_the_longest_command_line_takes_its_share_of_time(text: str) -> None:
    """While a pattern is searched for nothing else runs, no deadline either."""
    many = text * (_CUT // len(text))
    begin = time.thread_time()
    for one in (many, f" {many}", f"?{many}", f"@{many}", f"mysql {many}"):
        redacted(["x", one])
    assert time.thread_time() - begin < 8  # a hundredth of that where nothing goes wrong
