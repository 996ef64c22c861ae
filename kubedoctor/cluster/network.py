"""The network of a sandbox, made from inside by its pid 1: `lo`, a bridge with an address, the default route.

ioctls and not netlink: they need nothing but the standard library, which keeps the supervisor small.
"""

from __future__ import annotations

import fcntl
import socket
import struct
from pathlib import Path

BRIDGE = "kubedoctor0"

_SIOCADDRT, _SIOCBRADDBR = 0x890B, 0x89A0
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _SIOCSIFADDR, _SIOCSIFNETMASK = 0x8913, 0x8914, 0x8916, 0x891C
_IFF_UP, _RTF_UP = 1, 1
_PREFIX_MASK = "255.254.0.0"  # 198.18.0.0/15, reserved for benchmarking: on no one's network


def set_up(address: str) -> None:
    """Bring up `lo` and a bridge that holds *address* and the default route.

    kube-apiserver, kubelet and kube-proxy look for an address that is not a loopback one and for a default route;
    nothing leaves by it. The bridge has a carrier of its own and takes the veth ends of further places.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        _bring_up(control, "lo")
        name = BRIDGE.encode().ljust(16, b"\0")
        fcntl.ioctl(control, _SIOCBRADDBR, name)
        fcntl.ioctl(control, _SIOCSIFADDR, _request(BRIDGE, _address(address)))
        fcntl.ioctl(control, _SIOCSIFNETMASK, _request(BRIDGE, _address(_PREFIX_MASK)))
        _bring_up(control, BRIDGE)
        _add_default_route(control, BRIDGE)
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1\n")


def _address(text: str) -> bytes:
    return struct.pack("HH4s8x", socket.AF_INET, 0, socket.inet_aton(text))


def _request(interface: str, payload: bytes) -> bytes:
    return struct.pack("16s24s", interface.encode(), payload)  # struct ifreq


def _bring_up(control: socket.socket, interface: str) -> None:
    answer = fcntl.ioctl(control, _SIOCGIFFLAGS, _request(interface, b""))
    flags = struct.unpack_from("H", answer, 16)[0]
    fcntl.ioctl(control, _SIOCSIFFLAGS, _request(interface, struct.pack("H", flags | _IFF_UP)))


def _add_default_route(control: socket.socket, interface: str) -> None:
    import ctypes

    name = ctypes.create_string_buffer(interface.encode())
    anywhere = _address("0.0.0.0")  # noqa: S104 - a route's destination, nothing is bound
    # struct rtentry: pad, destination, gateway, mask, flags, pad, pad, tos, pads, metric, device, mtu, window, irtt
    route = struct.pack(
        "L16s16s16sHhLBB3hh6xPLLH6x",
        0, anywhere, anywhere, anywhere, _RTF_UP, 0, 0, 0, 0, 0, 0, 0, 0, ctypes.addressof(name), 0, 0, 0,
    )  # fmt: skip
    fcntl.ioctl(control, _SIOCADDRT, route)
