"""A server on loopback that can be made to misbehave."""

import contextlib
import functools
import http.server
import re
import threading
import time
from types import SimpleNamespace

import pytest

from benchmark.recordings import fetch as module


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves ``server.files`` by path, or ``server.body``, and writes down what was asked."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        how = self.server
        asked, condition = self.headers.get("Range"), self.headers.get("If-Range")
        entry = SimpleNamespace(range=asked, condition=condition, sent=0, path=self.path)
        how.log.append(entry)
        self.close_connection = True
        status = how.statuses.pop(0) if how.statuses else None
        if how.files and self.path not in how.files:
            status = 404
        if status:
            self.send_response(status)
            self.send_header("Location", how.location)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        body, start = how.files.get(self.path, how.body), 0
        fits = condition is None or condition in (how.etag, how.changed) or how.careless
        if asked and how.ranges and fits:
            start = int(re.fullmatch(r"bytes=(\d+)-", asked)[1])
            if start >= len(body):
                self.send_error(416)
                return
            self.send_response(206)
            first = start + how.shift
            self.send_header("Content-Range", f"bytes {first}-{len(body) - 1}/{len(body)}")
        else:
            self.send_response(200)
        if how.etag:
            self.send_header("ETag", how.etag)
        if how.changed:
            self.send_header("Last-Modified", how.changed)
        if how.chunked:
            self.send_header("Transfer-Encoding", "chunked")
        else:
            self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        drop = how.drops.pop(0) if how.drops else None
        part = body[start:] if drop is None else body[start : start + drop]
        for at in range(0, len(part), 10_000):
            piece = part[at : at + 10_000]
            entry.sent += len(piece)  # before it is sent: then the client may look at once
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece) if how.chunked else piece)
        if how.chunked and drop is None:
            self.wfile.write(b"0\r\n\r\n")
        if how.stall and drop is not None:
            time.sleep(how.stall)
            with contextlib.suppress(OSError):
                self.wfile.write(body[start + drop :])

    def log_message(self, *words):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(module, "PAUSE", 0.0)
    monkeypatch.setattr(module, "ATTEMPTS", 3)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        running.body, running.etag, running.changed = b"", '"one"', None
        running.files = {}
        running.ranges, running.careless, running.chunked = True, False, False
        running.drops, running.statuses, running.log = [], [], []
        running.shift, running.stall, running.location = 0, 0.0, ""
        running.url = f"http://127.0.0.1:{running.server_port}/set"
        threading.Thread(target=functools.partial(running.serve_forever, 0.01), daemon=True).start()
        yield running
        running.shutdown()
