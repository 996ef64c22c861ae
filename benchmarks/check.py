"""How long `kubedoctor check` takes, cold, beside kubeadm's preflight in the same run, and what it grows with.

usage: benchmarks/check.py [--rounds N] [--kubeadm PATH]

Each round starts every command once, in turn. Then: what importing costs by library, and what the facts that grow cost
for more and more sockets, rules and certificates, in a network namespace of its own. As root.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

SIZES = {"sockets": (1000, 2000, 4000, 8000), "rules": (2500, 5000, 10_000, 20_000), "certificates": (75, 150, 300)}
LIBRARIES = ("click", "pluggy", "cryptography", "httpx", "h2", "pyroute2", "yaml", "ssl", "asyncio", "kubedoctor")
_CHUNK = 1000


def seconds(*argv: str) -> float:
    began = time.monotonic()
    subprocess.run(argv, capture_output=True, check=False, timeout=120)
    return time.monotonic() - began


def commands(kubeadm: str) -> dict[str, list[str]]:
    ours = [sys.executable, "-m", "kubedoctor"]
    found = {
        "python": [sys.executable, "-c", ""],
        "--help": [*ours, "--help"],
        "check": [*ours, "check"],
        "check --phase preflight": [*ours, "check", "--phase", "preflight"],
    }
    if kubeadm:
        found["kubeadm init phase preflight"] = [kubeadm, "init", "phase", "preflight"]
    return found


def measured(rounds: int, kubeadm: str) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {name: [] for name in commands(kubeadm)}
    for name, argv in commands(kubeadm).items():
        seconds(*argv)  # the first one reads files from the disk
        found[name] = []
    for _ in range(rounds):
        for name, argv in commands(kubeadm).items():
            found[name].append(seconds(*argv))
    return found


def imports() -> dict[str, float]:
    """Return milliseconds spent importing each library in one `check`, without those it imports in turn."""
    argv = [sys.executable, "-X", "importtime", "-m", "kubedoctor", "check"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    spent = dict.fromkeys(LIBRARIES, 0.0)
    for line in done.stderr.splitlines():
        own, _, rest = line.removeprefix("import time:").partition("|")
        name = rest.partition("|")[2].strip().partition(".")[0].lstrip("_")
        if line.startswith("import time:") and own.strip().isdigit() and name in spent:
            spent[name] += int(own) / 1000
    return {name: took for name, took in spent.items() if took}


# --- what grows: run inside a network namespace of its own ------------------------------------------------------------


def growth() -> None:
    """Print what the facts cost for each size."""
    import resource

    from kubedoctor.cluster import network

    resource.setrlimit(resource.RLIMIT_NOFILE, (20_000, 20_000))
    network.set_up("198.18.0.1")
    with tempfile.TemporaryDirectory(prefix="kubedoctor-bench-") as directory:
        for kind, make in (("sockets", _sockets), ("rules", _rules), ("certificates", _certificates)):
            took = [f"{size}: {make(size, Path(directory)):.3f} s" for size in SIZES[kind]]
            print(f"  {kind:<13} {'   '.join(took)}")


def _gathered(ask: Callable[[], object]) -> float:
    began = time.monotonic()
    ask()
    return time.monotonic() - began


def _sockets(count: int, _directory: Path) -> float:
    import socket

    from kubedoctor import host
    from kubedoctor.doctor.look import SharedLook

    made = []
    for number in range(count):
        listener = socket.socket()
        listener.bind((f"127.0.{number // 200}.1", 20_000 + number % 200))
        listener.listen(1)
        made.append(listener)
    try:
        return _gathered(lambda: SharedLook().get(host.listeners, 0))
    finally:
        for listener in made:
            listener.close()


def _rules(count: int, _directory: Path) -> float:
    from kubedoctor import host
    from kubedoctor.doctor.look import SharedLook

    chains = [f":KUBE-SVC-{number:06d} - [0:0]" for number in range(count // 2)]
    rules = [
        line
        for number in range(count // 2)
        for line in (
            f"-A KUBE-SERVICES -d {_address(number)}/32 -p tcp -m tcp --dport 443 -j KUBE-SVC-{number:06d}",
            f"-A KUBE-SVC-{number:06d} -p tcp -j DNAT --to-destination 198.18.0.1:6443",
        )
    ]
    text = "\n".join(["*nat", ":KUBE-SERVICES - [0:0]", *chains, *rules, "COMMIT", ""])
    subprocess.run(["iptables-restore"], input=text, text=True, check=True)
    return _gathered(lambda: SharedLook().get(host.service_rules, 0, "10.0.0.1", 443))


def _address(number: int) -> str:
    return f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"


def _certificates(count: int, directory: Path) -> float:
    import datetime as dt

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    from kubedoctor import host
    from kubedoctor.doctor.look import SharedLook

    key = ec.generate_private_key(ec.SECP256R1())
    now = dt.datetime.now(dt.UTC)
    paths = []
    for number in range(count):
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"c{number}")])
        made = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(number + 1)
            .not_valid_before(now)
            .not_valid_after(now + dt.timedelta(days=1))
            .sign(key, hashes.SHA256())
        )
        path = directory / f"{number}.crt"
        path.write_bytes(made.public_bytes(serialization.Encoding.PEM))
        paths.append(str(path))
    look = SharedLook()
    return _gathered(lambda: [look.get(host.certificates, path) for path in paths])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--kubeadm", default=shutil.which("kubeadm") or "")
    parser.add_argument("--growth", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.growth:
        growth()
        return
    found = measured(options.rounds, options.kubeadm)
    print(f"seconds, whole process, median (least-most) of {options.rounds}; load {os.getloadavg()[0]:.1f}")
    for name, took in found.items():
        print(f"  {name:<30} {statistics.median(took):.3f}  ({min(took):.3f}-{max(took):.3f})")
    if options.kubeadm:
        ratio = statistics.median(found["check"]) / statistics.median(found["kubeadm init phase preflight"])
        print(f"  check / kubeadm                {ratio:.2f}")
    print("importing, milliseconds")
    for name, milliseconds in sorted(imports().items(), key=lambda item: -item[1]):
        print(f"  {name:<30} {milliseconds:.1f}")
    print("one fact, or all certificates, for more and more of them")
    subprocess.run(["unshare", "--net", "--mount", sys.executable, __file__, "--growth"], check=True)


if __name__ == "__main__":
    main()
