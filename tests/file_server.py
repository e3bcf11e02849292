"""A server of one file on this machine, which may cut, lie, refuse or lead elsewhere."""

from __future__ import annotations

import base64
import hashlib
import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class Behaviour:
    """What the server does."""

    content: bytes
    cut: list[int] = field(default_factory=list)
    """After how many bytes each of the next answers breaks off."""
    ranges: bool = True
    length: bool = True
    status: list[int] = field(default_factory=list)
    md5: bool = False
    flipped: bool = False
    """Whether the first byte arrives changed."""
    redirect: str = ""
    asked: list[str] = field(default_factory=list)
    """The Range of each request."""


class Handler(http.server.BaseHTTPRequestHandler):
    behaviour: Behaviour

    def do_GET(self):
        it = self.behaviour
        asked = self.headers.get("Range", "")
        it.asked.append(asked)
        if it.status:
            self.send_error(it.status.pop(0))
            return
        if it.redirect:
            self.send_response(302)
            self.send_header("Location", it.redirect)
            self.end_headers()
            return
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and it.ranges else 0
        if start and start >= len(it.content):
            self.send_error(416)
            return
        body = it.content[start:]
        if it.flipped:
            body = bytes([body[0] ^ 1]) + body[1:]
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(it.content) - 1}/{len(it.content)}")
        if it.length:
            self.send_header("Content-Length", str(len(body)))
        if it.md5:
            digest = base64.b64encode(hashlib.md5(it.content).digest()).decode()
            self.send_header("x-goog-hash", f"crc32c=AAAAAA==,md5={digest}")
        self.end_headers()
        self.wfile.write(body[: it.cut.pop(0)] if it.cut else body)

    def log_message(self, *_):
        pass


@contextmanager
def serving(behaviour: Behaviour) -> Iterator[str]:
    """Serves as long as the block runs; yields the address."""
    handler = type("Bound", (Handler,), {"behaviour": behaviour})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/model.pkl"
    finally:
        server.shutdown()
        server.server_close()
