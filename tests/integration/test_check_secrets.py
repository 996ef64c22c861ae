"""Secrets everywhere `kubedoctor check` can see: none of them comes out, nothing is run, and nothing is written."""

from __future__ import annotations

import base64
import gzip
import itertools
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml
from support import actors
from support.boxes import Box, box
from support.certificates import Issued, authority
from support.command import Done, Kubedoctor
from support.guarded import one_directory

pytestmark = [
    pytest.mark.integration,
    pytest.mark.root,
    pytest.mark.timeout(600),  # the first time binaries are built
    pytest.mark.skipif(os.geteuid() != 0, reason="a machine of the test's own needs root"),
]

PKI = "/etc/kubernetes/pki"
MARK = re.compile(r"hunter\d+[a-z]*")


@dataclass
class Secrets:
    """Makes secrets, and finds them again: each is a word of its own, so what leaks is told by its name."""

    words: list[str] = field(default_factory=list)
    texts: dict[str, str] = field(default_factory=dict)  # what else must not be seen, and whose it is

    def new(self, where: str) -> str:
        word = f"hunter{len(self.words)}{''.join(filter(str.isalpha, where.lower()))}"
        self.words.append(word)
        return word

    def key(self, issued: Issued, where: str) -> bytes:
        """Return the issued key in PEM, whose lines must not be seen, nor what base64 makes of them."""
        pem = issued.key_pem
        self.texts[pem.splitlines()[1].decode()[:40]] = where
        self.texts[base64.b64encode(pem).decode()[80:120]] = f"{where}, in base64"
        return pem

    def in_(self, text: str) -> list[str]:
        """Return the secrets that stand in *text*, readable or in base64."""
        found = set(MARK.findall(text))
        found |= {where for secret, where in self.texts.items() if secret in text}
        for piece in re.findall(r"[A-Za-z0-9+/]{16,}", text):
            readable = base64.b64decode(piece[: len(piece) // 4 * 4])
            found |= {f"{word} in base64" for word in MARK.findall(readable.decode("latin-1"))}
        return sorted(found)


TOUCHED = "/run/executed"
"""What the exec plugins of kubeconfigs would make."""


def kubeconfig(secrets: Secrets, issued: Issued, where: str, **user: object) -> str:
    """Return a kubeconfig with every secret one can have."""
    own = {
        "client-certificate-data": base64.b64encode(issued.pem).decode(),
        "client-key-data": base64.b64encode(secrets.key(issued, f"key of {where}")).decode(),
    }
    plugin = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": "/opt/login",
        "args": ["--login", secrets.new("execargument"), f"--secret={secrets.new('execflag')}"],
        "env": [{"name": "LOGIN", "value": secrets.new("execenvironment")}],
    }
    provider = {"name": "oidc", "config": {"client-secret": secrets.new("provider"), "idp": secrets.new("provideridp")}}
    users = {
        "own": own,
        "token": {"token": secrets.new("token")},
        "password": {"username": "bob", "password": secrets.new("password")},
        "plugin": {"exec": plugin},
        "provider": {"auth-provider": provider},
        **user,
    }
    server = f"https://bob:{secrets.new('serverurl')}@127.0.0.1:6443/?token={secrets.new('serverquery')}"
    cluster = {"server": server, "proxy-url": f"http://bob:{secrets.new('proxyurl')}@127.0.0.1:9"}
    direct = {"server": "https://127.0.0.1:6443", "insecure-skip-tls-verify": True}
    contexts = {name: {"cluster": "proxied", "user": name} for name in users} | {
        f"{name}-direct": {"cluster": "direct", "user": name} for name in users
    }
    return yaml.safe_dump(
        {
            "kind": "Config",
            "current-context": f"{next(reversed(user))}-direct" if user else "own-direct",
            "clusters": [{"name": "proxied", "cluster": cluster}, {"name": "direct", "cluster": direct}],
            "contexts": [{"name": name, "context": one} for name, one in contexts.items()],
            "users": [{"name": name, "user": one} for name, one in users.items()],
        }
    )


def plant_files(machine: Box, secrets: Secrets) -> None:
    new = secrets.new
    ca = authority("kubernetes-ca")
    for name in ("apiserver", "sa", "etcd/server", "front-proxy-client"):
        issued = ca.issue(name, "127.0.0.1")
        machine.write(f"{PKI}/{name}.crt", issued.pem)
        machine.write(f"{PKI}/{name}.key", secrets.key(issued, f"key of {name}"))
    machine.write(f"{PKI}/ca.crt", ca.pem + secrets.key(ca, "key in the file of authorities"))
    machine.write(f"{PKI}/ca.key", ca.key_pem)
    machine.write("/opt/login", f"#!/bin/sh\ntouch {TOUCHED}\n", 0o755)
    plugin = {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "/opt/login", "args": [new("exec")]}}
    users: dict[str, dict[str, object]] = {
        "admin.conf": {},
        "super-admin.conf": {"current": plugin},
        "kubelet.conf": {"current": plugin},
        "manager.conf": {"current": {"token": new("currenttoken")}},
        "scheduler.conf": {"current": {"username": "bob", "password": new("currentpassword")}},
    }
    for file, user in users.items():
        machine.write(f"/etc/kubernetes/{file}", kubeconfig(secrets, ca.issue(file), file, **user))
    machine.write("/etc/kubernetes/broken.conf", f"users:\n- name: x\n  user: {{token: {new('brokenyaml')}\n\t- [")
    machine.write("/etc/kubernetes/tokens.csv", f"{new('csv')},bob,1\n")
    encryption = {
        "kind": "EncryptionConfiguration",
        "resources": [{"providers": [{"aescbc": {"keys": [{"name": "a", "secret": new("encryption")}]}}]}],
    }
    machine.write("/etc/kubernetes/encryption.yaml", yaml.safe_dump(encryption))
    pod = {
        "kind": "Pod",
        "spec": {
            "containers": [
                {
                    "command": ["etcd", f"--initial-cluster-token={new('podargument')}", "--data-dir=/var/lib/etcd2"],
                    "args": [f"--listen-client-urls=https://root:{new('podurl')}@127.0.0.1:3379"],
                    "env": [
                        {"name": "ETCD_ROOT_PASSWORD", "value": new("podenvironment")},
                        {"name": "AWS_SECRET_ACCESS_KEY", "value": new("podaws")},
                        {"name": "HTTPS_PROXY", "value": f"http://bob:{new('podproxy')}@proxy:1"},
                    ],
                }
            ]
        },
    }
    machine.write("/etc/kubernetes/manifests/etcd.yaml", yaml.safe_dump(pod))
    kubelet = {
        "kind": "KubeletConfiguration",
        "staticPodURL": f"https://bob:{new('staticpodurl')}@pods.example/",
        "staticPodURLHeader": {"Authorization": [f"Bearer {new('staticpodheader')}"]},
        "containerRuntimeEndpoint": f"unix:///run/containerd/containerd.sock?token={new('endpoint')}",
    }
    machine.write("/var/lib/kubelet/config.yaml", yaml.safe_dump(kubelet))
    machine.write("/etc/default/kubelet", f'KUBELET_EXTRA_ARGS="--token={new("defaults")} --cloud-config=/x"\n')
    machine.write(
        "/etc/containerd/config.toml",
        f"""version = 2
        [plugins."io.containerd.grpc.v1.cri".registry.configs."a.example".auth]
        username = "bob"
        password = "{new("registrypassword")}"
        auth = "{base64.b64encode(f"bob:{new('registryauth')}".encode()).decode()}"
        identitytoken = "{new("registrytoken")}"
        [plugins."io.containerd.grpc.v1.cri".registry.mirrors."b.example"]
        endpoint = ["https://bob:{new("mirror")}@b.example"]
        [plugins."io.containerd.grpc.v1.cri".cni]
        conf_dir = "/etc/cni/net.d"
        bin_dir = "/opt/cni/bin?password={new("bindir")}"
        """,
    )
    machine.write("/etc/containerd/certs.d/a.example/hosts.toml", f'[host.header]\nauthorization = "{new("hosts")}"\n')
    network = {
        "cniVersion": "1.0.0",
        "name": "net",
        "plugins": [{"type": "calico", "policy": {"k8s_auth_token": new("cnitoken")}, "etcd_password": new("cnietcd")}],
    }
    machine.write("/etc/cni/net.d/10-net.conflist", json.dumps(network))
    machine.write("/etc/cni/net.d/20-broken.conf", f'{{"type": "x", "password": "{new("brokencni")}",')
    machine.write("/etc/etcd.yaml", yaml.safe_dump({"initial-cluster-token": new("etcdfile"), "name": "a"}))
    machine.write("/run/secrets/kubernetes.io/serviceaccount/token", new("serviceaccount"))
    settings = {"token": new("k3sfile"), "datastore-endpoint": f"mysql://root:{new('k3sfilestore')}@tcp(db:1)/k3s"}
    machine.write(
        "/etc/rancher/k3s/config.yaml", yaml.safe_dump(settings | {"etcd-s3-access-key": new("k3sfileaccess")})
    )
    machine.write(
        "/etc/systemd/system/k0scontroller.service",
        f"[Service]\nEnvironment=K0S_TOKEN={new('unitenvironment')}\n"
        f"ExecStart=/usr/local/bin/k0s controller --token {new('unitflag')} --agent-secret='{new('unitquoted')} x'\n",
    )
    machine.write("/etc/systemd/system/multi-user.target.wants/k0scontroller.service", "")


def plant_processes(machine: Box, secrets: Secrets) -> None:
    new = secrets.new
    jwt = f"eyJhbGciOiJSUzI1NiJ9.{base64.urlsafe_b64encode(json.dumps({'sub': new('jwt')}).encode()).decode()}.c2ln"
    proxy = {
        "HTTPS_PROXY": f"http://bob:{new('proxy')}@proxy.example:3128",
        "HTTP_PROXY": f"bob:{new('bareproxy')}@proxy.example:3128",
        "http_proxy": f"socks5://{new('proxyuser')}@proxy.example",
        "AWS_SECRET_ACCESS_KEY": new("aws"),
        "KUBEDOCTOR_TOKEN": new("ourtoken"),
    }
    components: list[tuple[str, list[str], Mapping[str, str]]] = [
        (
            "kube-apiserver",
            [
                f"--tls-cert-file={PKI}/apiserver.crt",
                f"--tls-private-key-file={PKI}/apiserver.key",
                f"--client-ca-file={PKI}/ca.crt",
                f"--service-account-key-file={PKI}/sa.key",
                "--token-auth-file=/etc/kubernetes/tokens.csv",
                "--encryption-provider-config=/etc/kubernetes/encryption.yaml",
                f"--etcd-servers=https://root:{new('etcdservers')}@127.0.0.1:2379",
                f"--oidc-client-secret={new('oidc')}",
                "--audit-webhook-token",
                new("nextword"),
            ],
            proxy,
        ),
        (
            "etcd",
            ["--config-file=/etc/etcd.yaml", f"--auth-token=jwt,sign-secret={new('authtoken')}"],
            {"ETCD_INITIAL_CLUSTER_TOKEN": new("etcdtoken"), "ETCD_ROOT_PASSWORD": new("etcdroot"), **proxy},
        ),
        (
            "etcd",
            [
                f"--data-dir={machine.directory}/etcd",
                f"--listen-client-urls=http://root:{new('listen')}@127.0.0.1:2379",
                f"--initial-cluster=a=https://a:{new('peer')}@127.0.0.1:2380,b=https://b:{new('otherpeer')}@127.0.0.1:2",
            ],
            {},
        ),
        (
            "kubelet",
            [
                "--kubeconfig=/etc/kubernetes/kubelet.conf",
                "--config=/var/lib/kubelet/config.yaml",
                "--bootstrap-token",
                new("bootstrap"),
                f"--node-labels=note={jwt}",
            ],
            proxy,
        ),
        ("kube-controller-manager", ["--kubeconfig=/etc/kubernetes/manager.conf"], {}),
        ("kube-scheduler", ["--kubeconfig=/etc/kubernetes/scheduler.conf"], {}),
        ("kube-proxy", ["--kubeconfig=/etc/kubernetes/broken.conf"], {}),
        ("containerd", ["--password", new("containerd")], {"CONTAINERD_TOKEN": new("containerdtoken")}),
        (
            "k3s",
            [
                f"--token={new('kthreestoken')}",
                f"--datastore-endpoint=postgres://root:{new('store')}@db/k3s?sslpassword={new('storequery')}",
                f"--etcd-s3-access-key={new('access')}",
                f"--etcd-s3-secret-key={new('sthree')}",
                f"--vpn-auth=name=tailscale,joinKey={new('vpn')}",
                f"--passphrase={new('passphrase')}",
            ],
            {"K3S_TOKEN": new("kthreesenvironment"), "K3S_DATASTORE_ENDPOINT": f"mysql://r:{new('mysql')}@tcp(db)/k"},
        ),
        # What is no component is recorded too: it may hold a port or a file.
        ("mysqld", [f"--init=SET PASSWORD = '{new('sql')}'", f"--db-pass={new('dbpass')}"], {}),
        ("curl", ["-u", f"bob:{new('curl')}", "--user", f"bob:{new('curluser')}", "https://a.example"], {}),
        ("curl", [f"-ubob:{new('curlshort')}", "-H", f"X-Api-Key: {new('header')}"], {}),
        ("mysql", [f"-p{new('mysqlshort')}", "-uroot"], {}),
        ("sshpass", ["-p", new("sshpass"), "ssh", "host"], {}),
        ("openssl", ["rsa", "-passin", f"pass:{new('openssl')}"], {}),
        ("redis-cli", ["-a", new("redis")], {}),
        ("sh", [f"export DB_PASSWORD={new('exported')}; kubeadm join --token {new('join')}"], {}),
        ("sh", [f"sleep 1; sudo mysql -uroot -p{new('withinstring')} db | tee x"], {}),
        ("sh", [f"bash -c \"mysqldump -p'{new('quotedtwice')} x'\" >x; redis-cli -a {new('redisstring')}"], {}),
        ("sh", [f"curl -s -u bob:{new('curlstring')} https://a.example; x -passin pass:{new('opensslstring')}"], {}),
        ("docker", ["exec", "db", "mysql", f"-p{new('mysqlincontainer')}"], {}),
        ("git", [f"https://{new('gituser')}@git.example/x.git"], {}),
    ]
    actors.crowd(machine, components)


LEAKY = """
import kubedoctor
from kubedoctor import Denied, Evidence, Finding, Malformed, NotApplicable, Silent, check, fact, hookimpl, host

ONE, TWO, THREE, FOUR, FIVE, SIX, SEVEN, EIGHT = "LEAKED".split()

def words(context):
    return " ".join(word for process in context.get(host.processes) for word in process.argv)

@check("leaky.crash", title="it works", looks_at="everything", fix="mend it")
def crash(context):
    "It crashes with what it was given, and with what its own library told it."
    problem = ValueError(f"Authorization: Bearer {THREE}")
    raise RuntimeError(f"no access with --password={ONE} to https://bob:{TWO}@host: {words(context)}") from problem

@fact("leaky.refused")
def refused(look) -> str:
    "What cannot be had."
    raise Denied(f"mysql -p{FOUR} was refused")

@check("leaky.reason", title="it works", looks_at="everything", fix="mend it")
def reason(context):
    "It tells why a fact cannot be had."
    context.get(refused)

@check("leaky.own-reason", title="it works", looks_at="everything", fix="mend it")
def own_reason(context):
    "It says itself why it cannot look."
    raise Malformed(f"https://bob:{FIVE}@host/ answered {words(context)}")

@check("leaky.needless", title="it works", looks_at="everything", fix="mend it")
def needless(context):
    "It says why it need not look."
    raise NotApplicable(f"the password={SIX} is that of nobody")

@check("leaky.finding", title="it works", looks_at="everything", fix="mend it")
def finding(context):
    "It finds something."
    evidence = Evidence(source="/etc/x", observed=f"password: {EIGHT}")
    yield Finding(message=f"https://bob:{SEVEN}@host/ does not answer", subject="x", evidence=(evidence,))

@hookimpl
def kubedoctor_facts():
    return (refused,)

@hookimpl
def kubedoctor_checks():
    return (crash, reason, own_reason, needless, finding)
"""
ANSWER = """
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(503)
        self.end_headers()
        self.wfile.write(sys.argv[1].encode())
    def log_message(self, *_):
        pass
server = http.server.HTTPServer(("127.0.0.1", 2379), Handler)
print("ready", flush=True)
server.serve_forever()
"""


def plugin(directory: Path, secrets: Secrets) -> Path:
    """Write a plugin of somebody's that crashes with secrets in its words; return the directory it is found in."""
    info = directory / "site" / "leaky-1.0.dist-info"
    info.mkdir(parents=True)
    leaked = " ".join(secrets.new(f"leaky{name}") for name in "abcdefgh")
    (info.parent / "leaky.py").write_text(LEAKY.replace("LEAKED", leaked))
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: leaky\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[kubedoctor]\nleaky = leaky\n")
    return info.parent


@dataclass
class Planted:
    machine: Box
    secrets: Secrets
    cli: Kubedoctor
    leaky: dict[str, str]


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Planted]:
    directory = tmp_path_factory.mktemp("secrets")
    secrets = Secrets()
    with box(directory) as machine:
        plant_files(machine, secrets)
        plant_processes(machine, secrets)
        machine.python(ANSWER, f'{{"health": "false", "reason": "cannot log in: password={secrets.new("answer")}"}}')
        cli = machine.command(directory)
        site = plugin(directory, secrets)
        yield Planted(machine, secrets, cli, {"PYTHONPATH": f"{site}:{cli.env['PYTHONPATH']}"})


def looked(done: Done) -> Done:
    assert done.status in (0, 1, 4), f"{done.status}\n{done.out}\n{done.err}"
    return done


def silent(planted: Planted, text: str) -> None:
    assert planted.secrets.in_(text) == []


def test_the_secrets_are_there_to_be_found(planted: Planted) -> None:
    """Without this the others would show nothing."""
    seen = looked(planted.cli("check", "-o", "json")).json
    targets = {target["id"]: target["components"] for target in seen["targets"]}
    assert {"kube-apiserver", "etcd", "kubelet", "kube-scheduler", "k3s"} <= set(itertools.chain(*targets.values()))
    assert len(planted.secrets.words) > 70
    assert planted.secrets.in_(f"x {planted.secrets.words[3]} y") == [planted.secrets.words[3]]
    assert planted.secrets.in_(base64.b64encode(f"bob:{planted.secrets.words[3]}".encode()).decode())


@pytest.mark.parametrize(
    "arguments",
    [
        ("check",),
        ("-v", "check", "--timings"),
        ("check", "-o", "json", "--timings"),
        ("check", "--kubeconfig=FILE", "-v"),
    ],
    ids=["text", "verbose", "json", "kubeconfig"],
)
def test_no_report_tells_a_secret(planted: Planted, arguments: tuple[str, ...]) -> None:
    for file in ("admin.conf", "super-admin.conf", "manager.conf", "broken.conf"):
        done = planted.cli(*(word.replace("FILE", f"/etc/kubernetes/{file}") for word in arguments))
        silent(planted, looked(done).out + done.err)
        if "FILE" not in str(arguments):
            break


def test_no_recording_holds_a_secret_and_none_comes_out_of_it(planted: Planted) -> None:
    file = planted.machine.directory / "seen.json.gz"
    done = looked(planted.cli("check", "--record", str(file), "--kubeconfig=/etc/kubernetes/manager.conf"))
    recorded = gzip.decompress(file.read_bytes()).decode()
    assert "host.processes()" in recorded
    assert "/etc/kubernetes/manager.conf" in recorded
    silent(planted, recorded + done.out + done.err)
    for arguments in (("check",), ("-v", "check", "--timings"), ("check", "-o", "json")):
        again = looked(planted.cli(*arguments, "--from", str(file)))
        silent(planted, again.out + again.err)


def test_no_crash_file_holds_a_secret(planted: Planted) -> None:
    done = planted.cli("-v", "check", "leaky.crash", "-o", "json", env=planted.leaky)
    assert done.status == 3, done.out + done.err
    (file,) = planted.cli.home.glob("crash-*.md")
    written = file.read_text()
    assert "RuntimeError: no access" in written
    silent(planted, written)
    silent(planted, done.out + done.err)
    shutil.rmtree(planted.cli.home)


def test_what_a_plugin_says_of_facts_and_findings_holds_no_secret(planted: Planted) -> None:
    file = planted.machine.directory / "leaked.json"
    checks = ("leaky.reason", "leaky.own-reason", "leaky.needless", "leaky.finding")
    done = looked(planted.cli("check", *checks, "-o", "json", "--record", str(file), env=planted.leaky))
    told = {result["check"]: result["reason"] for result in done.json["results"]}
    assert told["leaky.reason"] == "mysql -p… was refused"
    assert told["leaky.own-reason"].startswith("https://bob:…@host/ answered")
    assert told["leaky.needless"] == "the password=… is that of nobody"
    (found,) = next(result["findings"] for result in done.json["results"] if result["check"] == "leaky.finding")
    assert found["message"] == "https://bob:…@host/ does not answer"
    recorded = file.read_text()
    assert "leaky.refused()" in recorded
    silent(planted, recorded + done.out + done.err)
    for arguments in ((), ("-v",), ("--from", str(file), "-v")):
        text = looked(planted.cli("check", *checks, *arguments, env=planted.leaky))
        silent(planted, text.out + text.err)


def test_what_is_found_is_explained_without_a_secret(planted: Planted) -> None:
    found = looked(planted.cli("check", "-o", "json")).json
    failed = {result["check"] for result in found["results"] if result["outcome"] == "failed"}
    assert failed
    for done in (planted.cli("explain", *sorted(failed)), planted.cli("status", "-v"), planted.cli("explain")):
        silent(planted, done.out + done.err)


def test_a_cluster_of_ours_tells_no_secret(tmp_path: Path, binaries: Mapping[str, Path]) -> None:
    secrets = Secrets()
    environment = {
        "ETCD_ROOT_PASSWORD": secrets.new("root"),
        "ETCD_INITIAL_CLUSTER_TOKEN": secrets.new("cluster"),
        "HTTPS_PROXY": f"http://bob:{secrets.new('proxy')}@proxy.example:3128",
    }
    with box(tmp_path) as machine:
        cli = machine.command(one_directory(tmp_path, binaries))
        cli.ok("up", "--only", "etcd", *(f"--env=etcd.{name}={value}" for name, value in environment.items()))
        seen = tmp_path / "seen.json"
        done = looked(cli("-v", "check", "--record", str(seen)))
        for text in (done.out + done.err, seen.read_text(), looked(cli("check", "-o", "json")).out):
            assert secrets.in_(text) == []
        cli.ok("down")
        stopped = looked(cli("check", "--record", str(seen)))
        assert secrets.in_(stopped.out + stopped.err + seen.read_text()) == []


def state(machine: Box) -> dict[str, list[str]]:
    """Return all that can be changed on the machine: files with their times, mounts, sockets, rules, addresses."""
    base = machine.directory / "box"
    places = [f"{base}/{name}/upper" for name in ("etc", "opt", "var/lib")]
    places += ["/run", str(machine.directory / "person"), str(machine.directory / "crowd")]
    found = {
        "files": machine.run("find", *places, "-printf", "%p %y %m %U:%G %s %T@ %C@ %l\n"),
        "home": machine.run("ls", "-lA", machine.directory),
        "mounts": machine.run("cat", "/proc/mounts"),
        "addresses": machine.run("ip", "addr") + machine.run("ip", "route", "show", "table", "all"),
        "rules": machine.run("nft", "list", "ruleset") + machine.run("iptables-legacy-save", check=False),
        "legacy": machine.run("cat", "/proc/net/ip_tables_names", check=False),
        "listeners": machine.run("ss", "-lntux"),
        "processes": "\n".join(str(pid) for pid in sorted(machine.processes())),
        "settings": machine.run("sysctl", "-a", "--pattern", r"^(net\.ipv4\.conf|net\.netfilter|vm\.|kernel\.panic)"),
    }
    return {name: sorted(text.splitlines()) for name, text in found.items()}


def test_nothing_is_written_and_no_program_of_a_kubeconfig_is_run(planted: Planted) -> None:
    before = state(planted.machine)
    for file in ("super-admin.conf", "kubelet.conf"):
        looked(planted.cli("check", "-v", f"--kubeconfig=/etc/kubernetes/{file}"))
    after = state(planted.machine)
    for name, lines in before.items():
        assert after[name] == lines, name
    assert not planted.machine.path(TOUCHED).exists()
    assert not planted.cli.home.exists()
