"""An S3 server behind a line of limited speed: moto's server, and before it a proxy that sends objects so fast."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from moto.server import ThreadedMotoServer

__all__ = ["throttled_s3"]

PIECE = 128 * 1024
_HOP = frozenset({"connection", "transfer-encoding", "date", "server"})


class _Line:
    """A line that all transfers share."""

    def __init__(self, bytes_per_second: float) -> None:
        self._rate = bytes_per_second
        self._free_at = 0.0
        self._lock = threading.Lock()

    def pass_through(self, size: int) -> None:
        """Wait until `size` more bytes have gone through."""
        with self._lock:
            self._free_at = max(self._free_at, time.monotonic()) + size / self._rate
            wait = self._free_at - time.monotonic()
        if wait > 0:
            time.sleep(wait)


@contextmanager
def throttled_s3(bytes_per_second: float) -> Iterator[str]:
    """Yield the URL of an S3 endpoint without buckets. An object is fetched once and then sent from memory."""
    logging.getLogger("werkzeug").setLevel(logging.WARNING)  # not a line a request
    upstream = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    upstream.start()
    _forget_buckets(*upstream.get_host_and_port())
    proxy = ThreadingHTTPServer(("127.0.0.1", 0), _handler(upstream.get_host_and_port(), _Line(bytes_per_second)))
    proxy.daemon_threads = True
    threading.Thread(target=proxy.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{proxy.server_port}"
    finally:
        proxy.shutdown()
        proxy.server_close()
        upstream.stop()


def _forget_buckets(host: str, port: int) -> None:
    """Empty the server: moto keeps the buckets of all its servers in one process, also those of a server that ended."""
    connection = HTTPConnection(host, port)
    connection.request("POST", "/moto-api/reset")
    answer = connection.getresponse()
    answer.read()
    connection.close()
    if answer.status != HTTPStatus.OK:
        raise RuntimeError(f"moto answered {answer.status} to its own reset")


def _handler(upstream: tuple[str, int], line: _Line) -> type[BaseHTTPRequestHandler]:
    answers: dict[str, tuple[int, list[tuple[str, str]], bytes]] = {}

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            is_recording = self.command == "GET" and self.path.endswith(".vital")
            if is_recording and self.path in answers:
                status, headers, content = answers[self.path]
            else:
                connection = HTTPConnection(*upstream)
                connection.request(self.command, self.path, body, dict(self.headers))
                answer = connection.getresponse()
                status, headers, content = answer.status, answer.getheaders(), answer.read()
                connection.close()
                if is_recording and status == 200:
                    answers[self.path] = status, headers, content
            self.send_response(status)
            for name, value in headers:
                if name.lower() not in _HOP:
                    self.send_header(name, value)
            self.end_headers()
            view = memoryview(content)
            for start in range(0, 0 if self.command == "HEAD" else len(view), PIECE):
                piece = view[start : start + PIECE]
                line.pass_through(len(piece))
                self.wfile.write(piece)

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = answer  # noqa: N815

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    return Handler
