"""Faults that can be injected into one S3 request, by name, and the connection that they act on."""

from __future__ import annotations

import http.client
import random
import re
import socket
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qs, unquote, urlsplit

__all__ = ["FAULTS", "PERMANENT", "TRANSIENT", "Exchange", "Request"]

STALL = 3.0  # s; clients under test are set to wait less


@dataclass(frozen=True)
class Request:
    """One request that came: `part` is its Range header, `signer` its access key, `checksum` that of its body."""

    method: str
    key: str
    part: str = ""
    signer: str = field(default="", compare=False)
    checksum: str = field(default="", compare=False)


@dataclass
class _Answer:
    status: int
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""

    def with_header(self, name: str, value: str) -> _Answer:
        kept = [(key, old) for key, old in self.headers if key.lower() != name.lower()]
        return _Answer(self.status, [*kept, (name, value)], self.body)


class Exchange(BaseHTTPRequestHandler):
    """One connection of a client. A fault may do with a request what it likes.

    Attributes
    ----------
    upstream : str
        Host and port of the S3 server.
    fault_for : callable
        The name of the fault to be done to a request, if any.
    """

    upstream: str
    fault_for: Callable[[Request], str | None]
    protocol_version = "HTTP/1.1"

    def _serve(self) -> None:
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        url = urlsplit(self.path)
        _, _, key = unquote(url.path).lstrip("/").partition("/")
        method = self.command
        if method == "GET" and not key:
            method, key = "LIST", parse_qs(url.query).get("prefix", [""])[0]
        signer = self.headers.get("Authorization", "").partition("Credential=")[2].partition("/")[0]
        request = Request(method, key, self.headers.get("Range", ""), signer, self.checksum)
        fault = self.fault_for(request)
        if fault is None:
            self.send(self.forward())
        else:
            FAULTS[fault](self)

    @property
    def checksum(self) -> str:
        """The checksum of the body, or the algorithm of the parts' checksums, or nothing."""
        parted = ((*name.lower().partition("x-amz-checksum-"), value) for name, value in self.headers.items())
        return next((f"{kind} {value}" for _, found, kind, value in parted if found), "")

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _serve  # noqa: N815  http.server's names

    def log_message(self, format: str, *_: object) -> None:  # noqa: A002
        """Be quiet."""

    def forward(self) -> _Answer:
        """Let the server answer."""
        connection = http.client.HTTPConnection(self.upstream, timeout=60)
        try:
            connection.request(self.command, self.path, body=self.body, headers=dict(self.headers.items()))
            answer = connection.getresponse()
            dropped = {"connection", "transfer-encoding", "keep-alive"}
            headers = [(name, value) for name, value in answer.getheaders() if name.lower() not in dropped]
            return _Answer(answer.status, headers, answer.read())
        finally:
            connection.close()

    def send(self, answer: _Answer, *, only: float | None = None) -> None:
        """Send an answer, or its head and a share of its body."""
        self.send_response_only(answer.status)
        lengths = [value for name, value in answer.headers if name.lower() == "content-length"]
        if not lengths:
            answer = answer.with_header("Content-Length", str(len(answer.body)))
        for name, value in answer.headers:
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body if only is None else answer.body[: int(len(answer.body) * only)])
        self.wfile.flush()

    def reset(self) -> None:
        """Break the connection off with a RST."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True


Fault = Callable[[Exchange], None]


def _refused(status: int, code: str, message: str = "Injected.", *, done: bool = False) -> Fault:
    """Answer with an S3 error; with `done`, after the server has done what was asked.

    As S3 does, it repeats signed headers and the session token.
    """

    def fault(exchange: Exchange) -> None:
        if done:
            exchange.forward()
        signed = exchange.headers.get("Authorization", "")
        token = exchange.headers.get("X-Amz-Security-Token", "")
        body = (
            f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>{message}</Message>'
            f"<StringToSign>{signed}</StringToSign><Token-0>{token}</Token-0><RequestId>INJECTED</RequestId></Error>"
        ).encode()
        head = _Answer(status, [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))])
        exchange.send(_Answer(head.status, head.headers, b"" if exchange.command == "HEAD" else body))

    return fault


def _reset(exchange: Exchange) -> None:
    exchange.reset()


def _reset_in_body(exchange: Exchange) -> None:
    exchange.send(exchange.forward(), only=0.5)
    time.sleep(0.02)  # a RST that overtakes the data would be a reset before the body
    exchange.reset()


def _lost(exchange: Exchange) -> None:
    exchange.forward()
    exchange.reset()


def _stall(exchange: Exchange) -> None:
    time.sleep(STALL)
    exchange.reset()


def _stall_in_body(exchange: Exchange) -> None:
    exchange.send(exchange.forward(), only=0.5)
    time.sleep(STALL)
    exchange.reset()


def _closed_in_body(exchange: Exchange) -> None:
    exchange.send(exchange.forward(), only=0.5)
    exchange.close_connection = True


def _shortened(exchange: Exchange) -> None:
    """Send half of the body under a Content-Length that fits."""
    answer = exchange.forward()
    half = answer.body[: len(answer.body) // 2]
    exchange.send(_Answer(answer.status, answer.headers, half).with_header("Content-Length", str(len(half))))


def _flipped_byte(exchange: Exchange) -> None:
    answer = exchange.forward()
    body = bytearray(answer.body)
    if body:
        body[random.randrange(len(body))] ^= 1 << random.randrange(8)
    exchange.send(_Answer(answer.status, answer.headers, bytes(body)))


def _wrong_etag(exchange: Exchange) -> None:
    exchange.send(exchange.forward().with_header("ETag", '"0123456789abcdef0123456789abcdef"'))


def _range_ignored(exchange: Exchange) -> None:
    """Answer a request for a part with the whole object, as some servers do."""
    del exchange.headers["Range"]
    exchange.send(exchange.forward())


def _range_elsewhere(exchange: Exchange) -> None:
    """Answer a request for a part with another part of the same length."""
    first, last = map(int, exchange.headers["Range"].removeprefix("bytes=").split("-"))
    del exchange.headers["Range"]
    exchange.headers["Range"] = f"bytes=0-{last - first}"
    exchange.send(exchange.forward())


def _error_in_success(exchange: Exchange) -> None:
    """Answer 200 with an error in the body, as S3 may for a CompleteMultipartUpload or a DeleteObjects."""
    exchange.send(_Answer(200, [], b"<Error><Code>InternalError</Code><Message>Injected.</Message></Error>"))


def _bare_etags(exchange: Exchange) -> None:
    """Write etags without their quotes, as some servers do."""
    answer = exchange.forward()
    bare = [(name, value.strip('"') if name.lower() == "etag" else value) for name, value in answer.headers]
    body = re.sub(rb"<ETag>(?:&quot;|\")?([^<&\"]*)(?:&quot;|\")?</ETag>", rb"<ETag>\1</ETag>", answer.body)
    changed = _Answer(answer.status, bare, body)
    exchange.send(changed if exchange.command == "HEAD" else changed.with_header("Content-Length", str(len(body))))


def _overwritten(exchange: Exchange) -> None:
    """Let a create-only write replace what exists, as servers do that do not know If-None-Match."""
    del exchange.headers["If-None-Match"]
    exchange.send(exchange.forward())


def _hidden(exchange: Exchange) -> None:
    """Answer 403 where nothing is, as S3 does if the right to list holds for a prefix only."""
    answer = exchange.forward()
    if answer.status == 404:
        _refused(403, "AccessDenied")(exchange)
    else:
        exchange.send(answer)


def _refused_for_checksum(status: int, code: str, message: str, *, missing: bool = False) -> Fault:
    """Refuse what has a checksum, as servers do that know none; or what has none, as a bucket with Object Lock."""

    def fault(exchange: Exchange) -> None:
        passes = bool(exchange.checksum) == missing
        exchange.send(exchange.forward()) if passes else _refused(status, code, message)(exchange)

    return fault


FAULTS: dict[str, Fault] = {
    "500 InternalError": _refused(500, "InternalError"),
    "503 SlowDown": _refused(503, "SlowDown", "Please reduce your request rate."),
    "429 TooManyRequests": _refused(429, "TooManyRequests"),
    "400 RequestTimeout": _refused(400, "RequestTimeout"),
    "409 ConditionalRequestConflict": _refused(409, "ConditionalRequestConflict"),
    "412 PreconditionFailed": _refused(412, "PreconditionFailed"),
    "done, but 500": _refused(500, "InternalError", done=True),
    "reset": _reset,
    "reset in body": _reset_in_body,
    "lost": _lost,
    "stall": _stall,
    "stall in body": _stall_in_body,
    "closed in body": _closed_in_body,
    "shortened": _shortened,
    "flipped byte": _flipped_byte,
    "wrong etag": _wrong_etag,
    "bare etags": _bare_etags,
    "403 for missing": _hidden,
    "If-None-Match ignored": _overwritten,
    "400 BadDigest": _refused(400, "BadDigest"),
    "400 XAmzContentChecksumMismatch": _refused(400, "XAmzContentChecksumMismatch", "The 'x-amz-checksum' is wrong."),
    "400 XAmzContentSHA256Mismatch": _refused(400, "XAmzContentSHA256Mismatch"),
    "400 checksum": _refused_for_checksum(400, "InvalidArgument", "Unsupported header 'x-amz-checksum-sha256'"),
    "501 checksum": _refused_for_checksum(501, "NotImplemented", "'x-amz-checksum-algorithm' not implemented"),
    "Object Lock": _refused_for_checksum(
        400, "InvalidRequest", "x-amz-checksum- is required: Object Lock", missing=True
    ),
    "range ignored": _range_ignored,
    "range elsewhere": _range_elsewhere,
    "error in success": _error_in_success,
    "404 NoSuchKey": _refused(404, "NoSuchKey"),
    "404 NoSuchBucket": _refused(404, "NoSuchBucket"),
    "403 AccessDenied": _refused(403, "AccessDenied"),
    "403 InvalidAccessKeyId": _refused(403, "InvalidAccessKeyId"),
    "403 SignatureDoesNotMatch": _refused(403, "SignatureDoesNotMatch"),
    "403 RequestTimeTooSkewed": _refused(403, "RequestTimeTooSkewed"),
    "400 ExpiredToken": _refused(400, "ExpiredToken", "The provided token has expired."),
    "400 AuthorizationHeaderMalformed": _refused(400, "AuthorizationHeaderMalformed"),
    "301 PermanentRedirect": _refused(301, "PermanentRedirect"),
}
TRANSIENT = (
    "500 InternalError",
    "503 SlowDown",
    "429 TooManyRequests",
    "400 RequestTimeout",
    "done, but 500",
    "reset",
    "reset in body",
    "lost",
    "closed in body",
)
PERMANENT = (
    "403 AccessDenied",
    "403 InvalidAccessKeyId",
    "403 SignatureDoesNotMatch",
    "403 RequestTimeTooSkewed",
    "400 ExpiredToken",
    "400 AuthorizationHeaderMalformed",
    "404 NoSuchBucket",
    "301 PermanentRedirect",
)
