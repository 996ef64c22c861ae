"""The program itself: an HTTP server that greets. It knows nothing of kubedoctor."""

from __future__ import annotations

import argparse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def main() -> None:
    """Serve until stopped."""
    parser = argparse.ArgumentParser(prog="acme-greeter")
    parser.add_argument("--version", action="version", version="acme-greeter v0.3.0")
    parser.add_argument("--port", type=int, default=8099)
    parser.add_argument("--greeting", default="hello")
    options = parser.parse_args()

    class Greeter(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = b"ok\n" if self.path == "/healthz" else f"{options.greeting} from acme\n".encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    ThreadingHTTPServer(("", options.port), Greeter).serve_forever()


if __name__ == "__main__":
    main()
