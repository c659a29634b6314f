"""A local fake of VitalDB's web service that can inject network and server faults.

It serves the paths that the `vitaldb` package requests: ``/cases``, ``/<version>/<case>.vital``. Objects have an ETag
and support range requests, as behind a CDN, unless `ranges` is off.
"""

from __future__ import annotations

import gzip
import hashlib
import socket
import struct
import threading
import time
from collections import defaultdict
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

__all__ = ["Imitation", "Seen"]

VERSION = "1.0.1"
HALF = 2
RETRY_AFTER = "0"  # s


@dataclass(frozen=True)
class Seen:
    """One received request."""

    path: str
    headers: dict[str, str]


@dataclass
class Imitation:
    """The service. `faults[path]` apply to the next responses for a path, one each; ``...`` repeats the last one."""

    recordings: Path
    ranges: bool = True
    pause: float = 0.0  # s, in the middle of each recording
    faults: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    seen: list[Seen] = field(default_factory=list)
    others: dict[str, bytes] = field(default_factory=dict)
    at_once: int = 0
    most_at_once: int = 0

    def __enter__(self) -> Self:
        self._server = Server(self)
        self.lock = threading.Lock()
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def fault(self, path: str, *names: str) -> None:
        self.faults[path] = list(names)

    def asked(self, path: str) -> list[Seen]:
        return [request for request in self.seen if request.path == path]

    def body(self, path: str) -> bytes | None:
        if path in self.others:
            return self.others[path]
        if path == "/cases":
            return gzip.compress((self.recordings / "clinical_data.csv").read_bytes(), mtime=0)
        prefix, _, name = path.rpartition("/")
        case = name.removesuffix(".vital")
        file = self.recordings / "raw-data" / f"{int(case):04d}.vital" if case.isdigit() else None
        return file.read_bytes() if prefix == f"/{VERSION}" and file and file.exists() else None

    def next_fault(self, path: str) -> str:
        names = self.faults[path]
        if not names:
            return ""
        return names[0] if names[1:] == ["..."] else names.pop(0)


def recording(case: int) -> str:
    """Path of a case's recording."""
    return f"/{VERSION}/{case}.vital"


class Server(ThreadingHTTPServer):
    """The HTTP server, with a reference to the service that it serves."""

    daemon_threads = True

    def __init__(self, site: Imitation) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.site = site


class Handler(BaseHTTPRequestHandler):
    """Handles one connection."""

    server: Server
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        self.path = urlsplit(self.path).path  # who asks a proxy gives the whole address
        with self.server.site.lock:
            self.server.site.seen.append(Seen(self.path, dict(self.headers)))
            fault = self.server.site.next_fault(self.path)
            self.server.site.at_once += 1
            self.server.site.most_at_once = max(self.server.site.most_at_once, self.server.site.at_once)
        try:
            self._answer(fault)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True
        finally:
            with self.server.site.lock:
                self.server.site.at_once -= 1

    def _answer(self, fault: str) -> None:
        body = self.server.site.body(self.path)
        if fault.isdigit() or body is None:
            status = int(fault or 404)
            self._send(status, b"<html>no</html>", {"Content-Type": "text/html", "Retry-After": RETRY_AFTER})
        elif fault == "redirect":
            self._send(302, b"", {"Location": f"/elsewhere{self.path}"})
        elif fault == "html":
            self._send(200, b"<html>back soon</html>", {"Content-Type": "text/html; charset=utf-8"})
        elif fault == "page without a type":
            self._send(200, b"<html>back soon</html>", {})
        elif fault == "flip":
            self._send(200, body[:-8] + bytes([body[-8] ^ 1]) + body[-7:], {})
        elif fault == "short":  # a length that agrees with too few bytes
            self._send(200, body[: len(body) // HALF], {})
        elif fault == "chunked":
            self._chunked(body)
        else:
            self._send_ranged(body, fault)

    def _send(self, status: int, body: bytes, headers: dict[str, str], *, cut: str = "") -> None:
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(body))} | headers).items():
            self.send_header(name, value)
        self.end_headers()
        if not cut:
            self.wfile.write(body)
            return
        self.wfile.write(body[: len(body) // HALF])
        self.wfile.flush()
        if cut == "stall":
            time.sleep(3)
        if cut == "reset":
            linger = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        if cut == "pause":
            time.sleep(self.server.site.pause)
            self.wfile.write(body[len(body) // HALF :])
            return
        self.close_connection = True
        self.connection.close()

    def _send_ranged(self, body: bytes, fault: str) -> None:
        etag = f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"'
        headers = {"ETag": etag, "Content-Type": "application/octet-stream"}
        if self.path == "/cases":
            headers["Content-Encoding"] = "gzip"
        wanted = self.headers.get("Range")
        cut = fault or ("pause" if self.server.site.pause and self.path.endswith(".vital") else "")
        if wanted and self.server.site.ranges and self.headers.get("If-Range") == etag:
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            headers["Content-Range"] = f"bytes {start}-{len(body) - 1}/{len(body)}"
            self._send(206, body[start:], headers, cut=cut)
        else:
            self._send(200, body, headers, cut=cut)

    def _chunked(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for start in range(0, len(body), 4096):
            piece = body[start : start + 4096]
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        self.wfile.write(b"0\r\n\r\n")
