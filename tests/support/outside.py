"""A machine of a test's own and a host outside of it: two network namespaces and a wire. Nothing real is reached."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from support.children import child
from support.command import Done, Kubedoctor
from support.networks import Network, network

MACHINE, OUTSIDE = "203.0.113.1", "203.0.113.2"  # RFC 5737: for documentation, on no one's network
NAME = "outside.example"
SERVERS = f"""
import http.server, socket, struct, threading
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.client_address[0].encode())
    def log_message(self, *_):
        pass
names = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
names.bind(("{OUTSIDE}", 53))
def answer():
    while True:
        asked, client = names.recvfrom(4096)
        end = asked.index(0, 12) + 5
        is_a = asked[end - 4 : end - 2] == bytes((0, 1)) and b"outside" in asked
        record = bytes((0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4)) + socket.inet_aton("{OUTSIDE}")
        head = asked[:2] + bytes((0x84, 0, 0, 1, 0, int(is_a), 0, 0, 0, 0))
        names.sendto(head + asked[12:end] + (record if is_a else b""), client)
threading.Thread(target=answer, daemon=True).start()
server = http.server.ThreadingHTTPServer(("{OUTSIDE}", 80), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
wait("ready")
"""


@dataclass(frozen=True)
class Machine:
    """A network namespace that stands for the machine; `uplink` leads to the one that stands for the world."""

    net: Network
    world: Network

    def command(self, cli: Kubedoctor) -> Kubedoctor:
        """Return the program run on this machine."""
        return replace(cli, prefix=("nsenter", f"--net=/proc/{self.net.net}/ns/net", sys.executable))

    def state(self) -> str:
        """Return all of its links, rules, and of its addresses and routes for IPv4."""
        told = [
            ["ip", "-d", "-o", "link"],
            ["ip", "-4", "-o", "address"],
            ["ip", "-4", "route", "show", "table", "all"],
        ]
        return "\n".join(self.net.run(*argv) for argv in (*told, ["nft", "list", "ruleset"]))

    def resolv_conf(self, directory: Path) -> Path:
        """Write and return a resolv.conf that names the server outside."""
        path = directory / "resolv.conf"
        path.write_text(f"nameserver {OUTSIDE}\n")
        return path


@contextlib.contextmanager
def machine() -> Iterator[Machine]:
    """Yield a machine that forwards, with a world outside that has no route to anything behind it."""
    with network(as_root=True) as here, network(as_root=True) as there:
        here.run("ip", "link", "add", "wan0", "type", "veth", "peer", "name", "wan0", "netns", str(there.net))
        here.run("ip", "address", "add", f"{MACHINE}/24", "dev", "wan0")
        there.run("ip", "address", "add", f"{OUTSIDE}/24", "dev", "wan0")
        here.run("ip", "link", "set", "wan0", "up", "mtu", "1400")
        there.run("ip", "link", "set", "wan0", "up")
        here.run("ip", "route", "add", "default", "via", OUTSIDE)
        here.run("sysctl", "-qw", "net.ipv4.conf.wan0.forwarding=1")
        with child(SERVERS, prefix=("nsenter", f"--net=/proc/{there.net}/ns/net")):
            yield Machine(here, there)


def kubectl(cli: Kubedoctor, *arguments: str, stdin: str = "") -> Done:
    """Run kubectl on the machine of *cli*."""
    return cli("kubectl", *arguments, stdin=stdin)
