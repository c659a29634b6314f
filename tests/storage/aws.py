"""Stands for AWS in tests of credentials: files of profiles, and an endpoint that hands out credentials of a role."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.pipeline import BUCKET
from vitalprep.storage import Storage

LIFE = 1.0  # s, of the credentials handed out
KEYS = "[{}]\naws_access_key_id = {}\naws_secret_access_key = secretofthistest\n"

Profiles = Callable[..., None]


def put_one() -> None:
    Storage(f"s3://{BUCKET}/credentials").put("a", b"x")


def key_until(seconds: float) -> str:
    return f"K{time.time() + seconds:.3f}"


class Role:
    """An endpoint that hands out credentials of a container's role for seconds."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.refuses = 0

    def __enter__(self) -> Role:
        role = self

        class Answer(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                role.asked.append(self.headers.get("Authorization", ""))
                role.refuses -= 1
                until = (datetime.now(UTC) + timedelta(seconds=LIFE)).isoformat()
                keys = {"AccessKeyId": key_until(LIFE), "SecretAccessKey": "s", "Token": "t", "Expiration": until}
                body = json.dumps(keys).encode()
                self.send_response(200 if role.refuses < 0 else 503)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_PUT = do_GET  # noqa: N815

            def log_message(self, format: str, *_: object) -> None:  # noqa: A002
                """Be quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
