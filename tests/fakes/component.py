"""A fake component, for what the supervisor itself does: a small HTTP server whose behaviour is chosen by flags.

--port N             serve /healthz there
--ready-after N      answer 503 to the first N questions
--never-ready        answer 503 for ever
--exit-at-start N    exit with status N before serving, with a line of error on stderr
--ignore-term        take no notice of SIGTERM
--child FILE         leave a process behind that outlives us, its pid written to FILE
--count FILE         append a line to FILE at every start
"""

from __future__ import annotations

import argparse
import http.server
import signal
import subprocess
import sys
from pathlib import Path


class Handler(http.server.BaseHTTPRequestHandler):
    asked = 0
    ready_after = 0
    never = False

    def do_GET(self) -> None:
        Handler.asked += 1
        ready = not Handler.never and Handler.asked > Handler.ready_after
        body = b"ok" if ready else b"[+]ping ok\n[-]poststarthook/fake/hook failed: not finished\n"
        self.send_response(200 if ready else 503)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--ready-after", type=int, default=0)
    parser.add_argument("--never-ready", action="store_true")
    parser.add_argument("--exit-at-start", type=int)
    parser.add_argument("--ignore-term", action="store_true")
    parser.add_argument("--child", default="")
    parser.add_argument("--count", default="")
    options = parser.parse_args()
    if options.count:
        with Path(options.count).open("a") as file:
            file.write("start\n")
    if options.exit_at_start is not None:
        sys.stderr.write("Error: the fake was told to fail\n")
        sys.exit(options.exit_at_start)
    if options.ignore_term:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if options.child:
        child = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
        Path(options.child).write_text(str(Path(f"/proc/{child.pid}/ns/pid").readlink()))
    http.server.HTTPServer.allow_reuse_address = True
    Handler.ready_after, Handler.never = options.ready_after, options.never_ready
    http.server.HTTPServer(("127.0.0.1", options.port), Handler).serve_forever()


main()
