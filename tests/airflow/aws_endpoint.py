"""What the imitated AWS services share: their protocol on a loopback port, and the real worker behind it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Protocol, Self

from aws_patterns import target_of, unfitting


class Container(Protocol):
    """A started worker."""

    def lines(self) -> Iterator[str]:
        """Yield what it prints, until it ends."""

    def signal(self, number: int) -> None:
        """Send a signal to its first process."""

    def wait(self) -> int:
        """Return its exit code, 128 and more after a signal."""


Launch = Callable[[Sequence[str], Mapping[str, str]], Container]


class WorkerProcess:
    """A worker as a process of this machine."""

    def __init__(self, worker: Sequence[str], command: Sequence[str], environment: Mapping[str, str]) -> None:
        # A container is told nothing but what its task definition says.
        inherited = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR", "LANG") if name in os.environ}
        self._process = subprocess.Popen(
            [*worker, *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=inherited | dict(environment),
            start_new_session=True,
        )

    def lines(self) -> Iterator[str]:
        assert self._process.stdout is not None
        yield from self._process.stdout

    def signal(self, number: int) -> None:
        with suppress(ProcessLookupError):
            if number == signal.SIGKILL:
                os.killpg(self._process.pid, number)
            else:
                self._process.send_signal(number)

    def wait(self) -> int:
        code = self._process.wait()
        return code if code >= 0 else 128 - code


class Refusal(Exception):
    """An error answer."""

    def __init__(self, code: str, text: str, status: int = 400) -> None:
        super().__init__(text)
        self.code, self.text, self.status = code, text, status


@dataclass
class CallFault:
    """A call that is refused, `times` times."""

    operation: str
    code: str
    text: str = "Rate exceeded"
    times: int = 1_000_000
    status: int = 400


class Bucket:
    """A limit of AWS's kind: so many calls a second, and `burst` of them at once."""

    def __init__(self, per_second: float, burst: int) -> None:
        self._per_second, self._burst = per_second, burst
        self._tokens, self._at = float(burst), time.monotonic()
        self._lock = threading.Lock()

    def passes(self) -> bool:
        """Whether one more call is within the limit."""
        with self._lock:
            now = time.monotonic()
            self._tokens = min(self._burst, self._tokens + (now - self._at) * self._per_second)
            self._at = now
            if self._tokens < 1:
                return False
            self._tokens -= 1
            return True


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256  # callers that connect at once


class Endpoint:
    """Answers JSON 1.1 and REST-JSON calls on a loopback port; a context manager.

    `url` is where, `calls` what was asked how often, `call_faults` and `limits` what is refused, and `lost_answers` the
    operations whose first answer does not arrive.
    """

    def __init__(self) -> None:
        self._server = _Server(("127.0.0.1", 0), _requests_to(self))
        self.calls: Counter[str] = Counter()
        self.call_faults: list[CallFault] = []
        self.limits: dict[str, Bucket] = {}
        self.lost_answers: set[str] = set()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        for container in self.containers():
            container.signal(signal.SIGKILL)

    def containers(self) -> list[Container]:
        """Return what still runs."""
        raise NotImplementedError

    def take(self, operation: str) -> None:
        """Count a call. Raises Refusal if it is to fail."""
        self.calls[operation] += 1
        if operation in self.limits and not self.limits[operation].passes():
            raise Refusal("ThrottlingException", "Rate exceeded")
        for fault in self.call_faults:
            if fault.operation == operation and fault.times > 0:
                fault.times -= 1
                raise Refusal(fault.code, fault.text, fault.status)

    def answer(self, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        """Do one call. Raises Refusal."""
        raise NotImplementedError


def log_page(events: Sequence[dict[str, Any]], request: Mapping[str, Any]) -> dict[str, Any]:
    """Answer GetLogEvents from the head of a stream, or from a token on."""
    begin = int(request.get("nextToken", "f/0").split("/")[1])
    return {
        "events": list(events[begin:]),
        "nextForwardToken": f"f/{len(events)}",
        "nextBackwardToken": f"b/{begin}",
    }


def _requests_to(endpoint: Endpoint) -> type[BaseHTTPRequestHandler]:
    class Requests(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            target = self.headers["X-Amz-Target"] or target_of(self.path)
            operation = target.rsplit(".", 1)[1]
            try:
                if problem := unfitting(target, request):
                    raise Refusal("ValidationException", problem)
                endpoint.take(operation)
                status, answer = 200, endpoint.answer(operation, request)
            except Refusal as refusal:
                status, answer = refusal.status, {"__type": refusal.code, "code": refusal.code, "message": refusal.text}
            if operation in endpoint.lost_answers:
                endpoint.lost_answers.remove(operation)
                self.close_connection = True
                return
            body = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/x-amz-json-1.1")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    return Requests
