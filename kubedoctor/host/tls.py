"""The certificate a server shows, whoever signed it: one handshake, nothing sent after it."""

from __future__ import annotations

import ssl
import time

from kubedoctor.facts import Absent, Look, Malformed, Silent, fact
from kubedoctor.host.agent import connect
from kubedoctor.host.certificates import CertificateFact, parse_certificates

TIMEOUT = 1.0
"""Seconds for connection and handshake: on this machine it takes 5 ms."""


@fact("host.served-certificate")
def served_certificate(
    look: Look,  # noqa: ARG001 - asks no other fact
    address: str,
    port: int,
    net: int = 0,
    server_name: str = "",
) -> CertificateFact:
    """The certificate that a TLS server at an IP address shows; Malformed when it speaks no TLS, Silent: no answer."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # it is looked at, not trusted
    until = time.monotonic() + TIMEOUT
    what = f"{address} port {port}"
    with connect(address, port, net=net, timeout=TIMEOUT) as plain:
        plain.settimeout(max(until - time.monotonic(), 0.001))
        try:
            with context.wrap_socket(plain, server_hostname=server_name or None) as secured:
                shown = secured.getpeercert(binary_form=True)
        except TimeoutError:
            raise Silent(f"{what} did not finish a TLS handshake within {TIMEOUT:g} s") from None
        except ssl.SSLEOFError:
            raise Silent(f"{what} broke off the TLS handshake") from None
        except ssl.SSLError as problem:
            if problem.reason in (
                "WRONG_VERSION_NUMBER",
                "HTTP_REQUEST",
                "PACKET_LENGTH_TOO_LONG",
                "RECORD_LAYER_FAILURE",
            ):
                raise Malformed(f"{what} speaks no TLS") from None
            raise Silent(f"{what} refused the TLS handshake: {problem.reason}") from None
        except (OSError, ValueError) as problem:
            raise Silent(f"{what} broke off the TLS handshake: {problem}") from None
    if not shown:
        raise Absent(f"{what} shows no certificate")
    return parse_certificates(ssl.DER_cert_to_PEM_cert(shown).encode(), f"the certificate of {what}")[0]
