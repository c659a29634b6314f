"""An S3 server that grants what IAM policies grant: moto's server behind a gate that reads each request's role.

The role is the request's access key id. Knows the S3 calls that vitalprep makes, ``*`` in actions and resources, and
conditions on ``s3:prefix``; whatever else it meets is refused, so that a test cannot pass by what it does not know.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from fnmatch import fnmatchcase
from html import unescape
from io import BytesIO
from typing import Any
from urllib.parse import parse_qs

from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

OWNER = "owner"  # may do everything

# Method, whether a key is named, and the parameter that tells calls apart.
ACTIONS = {
    ("GET", False, "list-type"): "s3:ListBucket",
    ("GET", True, ""): "s3:GetObject",
    ("HEAD", True, ""): "s3:GetObject",
    ("PUT", True, ""): "s3:PutObject",
    ("PUT", True, "partNumber"): "s3:PutObject",
    ("POST", True, "uploads"): "s3:PutObject",
    ("POST", True, "uploadId"): "s3:PutObject",
    ("DELETE", True, "uploadId"): "s3:AbortMultipartUpload",
    ("POST", False, "delete"): "s3:DeleteObject",  # of every key that its body names
}
TELLING = ("list-type", "partNumber", "uploads", "uploadId", "delete")
REFUSAL = b"<Error><Code>AccessDenied</Code><Message>not granted</Message></Error>"


def granted(policies: Iterable[Mapping[str, Any]], action: str, resource: str, prefix: str) -> bool:
    """Return whether one of the policies' statements allows an action."""
    statements = [statement for policy in policies for statement in policy["Statement"]]
    return any(
        statement["Effect"] == "Allow"
        and any(fnmatchcase(action, one) for one in _list(statement["Action"]))
        and any(fnmatchcase(resource, one) for one in _list(statement["Resource"]))
        and _holds(statement.get("Condition", {}), prefix)
        for statement in statements
    )


def _holds(conditions: Mapping[str, Mapping[str, Any]], prefix: str) -> bool:
    known = {"StringLike": {"s3:prefix": prefix}}
    return all(
        any(fnmatchcase(known.get(test, {}).get(key, "\0"), one) for one in _list(values))
        for test, keys in conditions.items()
        for key, values in keys.items()
    )


def _arn(bucket: str, key: str = "") -> str:
    return f"arn:aws:s3:::{bucket}/{key}" if key else f"arn:aws:s3:::{bucket}"


def _list(value: Any) -> list[str]:
    return value if isinstance(value, list) else [value]


class Gate:
    """WSGI application before moto's."""

    def __init__(self, policies_of: Mapping[str, list[Mapping[str, Any]]]) -> None:
        self.policies_of = policies_of
        self.moto = DomainDispatcherApplication(create_backend_app)

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        role = re.search(r"Credential=([^/]+)/", environ.get("HTTP_AUTHORIZATION", ""))
        who = role[1] if role else ""
        if who == OWNER:
            return self.moto(environ, start_response)
        bucket, _, key = environ["PATH_INFO"].lstrip("/").partition("/")
        query = parse_qs(environ["QUERY_STRING"], keep_blank_values=True)
        told_by = next((name for name in TELLING if name in query), "")
        action = ACTIONS.get((environ["REQUEST_METHOD"], bool(key), told_by), "unknown")
        keys = self._named_in_body(environ) if told_by == "delete" else [key]
        policies = self.policies_of.get(who, [])
        prefix = query.get("prefix", [""])[0]
        if not all(granted(policies, action, _arn(bucket, one), prefix) for one in keys):
            return self._refuse(start_response)
        may_list = granted(policies, "s3:ListBucket", _arn(bucket), key)

        def answer(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            # S3 tells only those who may list a path that nothing is there.
            hidden = status.startswith("404") and not may_list
            return start_response("403 Forbidden" if hidden else status, headers, *rest)

        return self.moto(environ, answer)

    def _named_in_body(self, environ: dict[str, Any]) -> list[str]:
        body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
        environ["wsgi.input"] = BytesIO(body)
        keys = [unescape(key) for key in re.findall(r"<Key>(.*?)</Key>", body.decode())]
        return keys or ["nothing"]

    def _refuse(self, start_response: Any) -> Iterable[bytes]:
        start_response("403 Forbidden", [("Content-Type", "application/xml"), ("Content-Length", str(len(REFUSAL)))])
        return [REFUSAL]


@contextmanager
def guarded_s3(policies_of: Mapping[str, list[Mapping[str, Any]]]) -> Iterator[str]:
    """Serve S3 to roles with these policies; yields the endpoint."""
    server = make_server("127.0.0.1", 0, Gate(policies_of), threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.port}"
    finally:
        server.shutdown()
        thread.join()
