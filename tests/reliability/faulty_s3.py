"""A proxy in front of an S3 server that injects network and S3 faults.

    rules = [Rule("503 SlowDown", method="GET", key="*.vital", times=2), Rule("lost", method="PUT", key="*.json")]
    with FaultyS3(environment["AWS_ENDPOINT_URL"], rules) as s3:
        vitalprep("run", ..., environment=environment | s3.environment)
    assert s3.count("503 SlowDown") == 2

Clients sign for the host they talk to, and the server behind checks no signature, so requests pass as they are. What
was done to which request stands in `FaultyS3.injected`. `random_faults` makes rules for long runs: which request is
hit depends on the seed, the request and how often it came, not on the order in which threads arrive.
"""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from http.server import ThreadingHTTPServer
from typing import Self
from urllib.parse import urlsplit

from tests.reliability.s3_exchange import FAULTS, PERMANENT, TRANSIENT, Exchange, Request

__all__ = ["FAULTS", "PERMANENT", "TRANSIENT", "FaultyS3", "Injected", "Request", "Rule", "random_faults"]


@dataclass(frozen=True, eq=False)  # two alike are two
class Rule:
    """Which requests are hit by a fault.

    Attributes
    ----------
    fault : str
        A name in `FAULTS`.
    method : str
        GET, HEAD, PUT, POST, DELETE, or LIST for a GET of a bucket; ``*`` for all.
    key : str
        Pattern (`fnmatch`) of the key, or of the prefix for LIST.
    times : int or None
        How many of the matching requests; None for all of them.
    skip : int
        How many matching requests pass before the first is hit.
    share : float
        Probability that a matching request is hit.
    in_a_row : int or None
        A request that was hit this often in a row, by whatever rule, passes: a client with more tries gets through.
    seed : int
        Of the draws for `share`.
    """

    fault: str
    method: str = "*"
    key: str = "*"
    times: int | None = 1
    skip: int = 0
    share: float = 1.0
    in_a_row: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.fault not in FAULTS:
            raise ValueError(f"no fault {self.fault!r}; there are {', '.join(FAULTS)}")


@dataclass(frozen=True)
class Injected:
    """One fault that was done to one request."""

    fault: str
    method: str
    key: str


def random_faults(share: float, *, seed: int = 0, faults: Iterable[str] | None = None) -> list[Rule]:
    """Return rules that hit a share of all requests, drawn evenly from some faults (default: the transient ones).

    No request fails more than three times in a row.
    """
    names = tuple(faults or TRANSIENT)
    return [Rule(name, times=None, share=share / len(names), in_a_row=3, seed=seed) for name in names]


class FaultyS3:
    """The proxy. As a context manager it listens on a free loopback port.

    Parameters
    ----------
    upstream : str
        URL of the S3 server.
    rules : iterable of Rule
        The first that matches a request decides. `rules` may be changed while it runs.

    Attributes
    ----------
    injected : list of Injected
        The faults done so far, in order.
    requests : list of Request
        What came so far, in order.
    """

    def __init__(self, upstream: str, rules: Iterable[Rule] = ()) -> None:
        self.upstream = urlsplit(upstream).netloc
        self.rules = list(rules)
        self.injected: list[Injected] = []
        self.requests: list[Request] = []
        self._came: Counter[tuple[str, str]] = Counter()
        self._matched: Counter[Rule] = Counter()
        self._hits: Counter[Rule] = Counter()
        self._in_a_row: Counter[tuple[str, str]] = Counter()
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        exchange = type("Bound", (Exchange,), {"upstream": self.upstream, "fault_for": staticmethod(self.fault_for)})
        self._server = _Server(("127.0.0.1", 0), exchange)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def environment(self) -> dict[str, str]:
        """What sends a client here."""
        return {"AWS_ENDPOINT_URL": self.url}

    def count(self, fault: str = "*", *, method: str = "*", key: str = "*") -> int:
        """Return how many faults were done."""
        return sum(
            fnmatchcase(item.fault, fault) and fnmatchcase(item.method, method) and fnmatchcase(item.key, key)
            for item in self.injected
        )

    def fault_for(self, request: Request) -> str | None:
        """Note a request, and return the fault to be done to it, if any."""
        method, key = request.method, request.key
        with self._lock:
            self.requests.append(request)
            self._came[method, key] += 1
            for rule in self.rules:
                if fnmatchcase(method, rule.method) and fnmatchcase(key, rule.key) and self._hit(rule, method, key):
                    self.injected.append(Injected(rule.fault, method, key))
                    self._in_a_row[method, key] += 1
                    return rule.fault
            self._in_a_row[method, key] = 0
        return None

    def _hit(self, rule: Rule, method: str, key: str) -> bool:
        self._matched[rule] += 1
        draw = random.Random(f"{rule.seed}:{rule.fault}:{method}:{key}:{self._came[method, key]}").random()
        due = self._matched[rule] > rule.skip and (rule.times is None or self._hits[rule] < rule.times)
        enough = rule.in_a_row is not None and self._in_a_row[method, key] >= rule.in_a_row
        if not due or enough or draw >= rule.share:
            return False
        self._hits[rule] += 1
        return True


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of clients that gave up: that is what they are made to do here."""
