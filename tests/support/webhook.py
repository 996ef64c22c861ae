"""An admission webhook as somebody develops one: on the host's loopback, with a certificate made a moment ago."""

from __future__ import annotations

import base64
import contextlib
import json
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec


@dataclass
class Webhook:
    """A server that refuses objects with the label `refuse`, and remembers the names of those it was asked about."""

    port: int
    certificate: Path
    asked: list[str] = field(default_factory=list)

    def configuration(self, host: str) -> dict[str, Any]:
        """Return the object by which kube-apiserver asks this server, as *host*, about new ConfigMaps."""
        bundle = base64.b64encode(self.certificate.read_bytes()).decode()
        hook = {
            "name": "refuse.kubedoctor.test",
            "clientConfig": {"url": f"https://{host}:{self.port}/admit", "caBundle": bundle},
            "rules": [
                {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["configmaps"]}
            ],
            "admissionReviewVersions": ["v1"],
            "sideEffects": "None",
            "timeoutSeconds": 5,
        }
        return {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingWebhookConfiguration",
            "metadata": {"name": "refuse"},
            "webhooks": [hook],
        }


@contextlib.contextmanager
def webhook(directory: Path, *names: str) -> Iterator[Webhook]:
    """Serve on a free port of 127.0.0.1, with a certificate for *names* made in *directory*."""
    certificate, key = directory / "webhook.crt", directory / "webhook.key"
    _write_certificate(certificate, key, names)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    hook = Webhook(server.server_port, certificate)
    server.hook = hook  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield hook
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["request"]
        metadata = request["object"]["metadata"]
        self.server.hook.asked.append(metadata["name"])  # type: ignore[attr-defined]
        response: dict[str, Any] = {"uid": request["uid"], "allowed": "refuse" not in metadata.get("labels", {})}
        if not response["allowed"]:
            response["status"] = {"message": "the webhook said no"}
        body = json.dumps(
            {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response}
        ).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the name it has in the base class
        """Be quiet."""


def _write_certificate(certificate: Path, key: Path, names: tuple[str, ...]) -> None:
    private = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "webhook")])
    now = datetime.now(UTC)
    sans = [x509.IPAddress(ip_address(n)) if n[0].isdigit() else x509.DNSName(n) for n in names]
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(sans), critical=False)
        .sign(private, hashes.SHA256())
    )
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    key.write_bytes(private.private_bytes(*form))
