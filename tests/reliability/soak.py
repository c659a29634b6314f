"""The soak test: the long form of the reliability tests, by section."""

from __future__ import annotations

import json
import logging
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from moto.server import ThreadedMotoServer

from tests.pipeline import BUCKET, run_vitalprep, s3_client
from tests.reliability.faulty_s3 import FaultyS3, random_faults
from tests.reliability.kills import Killer, Undisturbed, counts_of
from tests.reliability.long_and_large import largest, many, row, watched
from tests.reliability.mutants.attack import try_mutants
from tests.reliability.places import LocalPlace, Place, S3Place, upload
from tests.reliability.rows import Row
from tests.reliability.two_at_once import SCENARIOS, Pair
from vitalprep.simulate.damage import DamageShares
from vitalprep.simulate.simulate import SimulationOptions, simulate_folder

__all__ = ["SECTIONS", "Options", "disturbing_options", "s3_server"]

WORKERS = 2
REPEATS = 4  # of every pair
FAULTY_RUNS = 6
FAULTS_SHARE = 0.1  # of all requests
MOST_TRIES = 20
DAMAGE: DamageShares = {"truncated": 0.05, "no-clinical-row": 0.05, "short": 0.05}


@dataclass(frozen=True)
class Options:
    """How long the soak is, and where it works.

    Attributes
    ----------
    kills : int
        In each place: a folder and S3.
    cases : int
        Of the runs that are disturbed.
    many_cases : int
        Of the run that is watched; `largest_hours` of the one large case: 20 h are VitalDB's 112 MB.
    hostile_inputs : int
        Mutants of recordings to be read.
    mutants : int
        Of stored documents.
    """

    folder: Path
    seed: int = 0
    kills: int = 100
    cases: int = 60
    many_cases: int = 3000
    largest_hours: float = 20.0
    hostile_inputs: int = 1_000_000
    mutants: int = 100_000

    def recordings(self) -> Path:
        """Return simulated cases of about half an hour, some of them damaged, made once and kept."""
        folder = self.folder / f"cases-{self.cases}"
        simulate_folder(folder, SimulationOptions(seed=5, cases=self.cases, hours=0.5, damage=DAMAGE), workers=WORKERS)
        return folder

    def local(self, name: str) -> LocalPlace:
        """Return an output folder of a section."""
        return LocalPlace(str(self.recordings()), str(self.folder / name), disturbing_options(self.cases))

    @contextmanager
    def on_s3(self, name: str) -> Iterator[S3Place]:
        """Yield an output on an S3 server of its own."""
        with s3_server() as environment:
            source = upload(self.recordings(), environment, "raw")
            yield S3Place(source, f"s3://{BUCKET}/{name}", disturbing_options(self.cases), environment)


def disturbing_options(cases: int) -> tuple[str, ...]:
    """Return the options of runs whose cases have every kind of end: one more is asked for than is there."""
    return ("--cases", f"1-{cases + 1}", "--set", "validation.min_success_rate=0.5")


@contextmanager
def s3_server() -> Iterator[dict[str, str]]:
    """Yield the environment under which S3 is a server on this machine, with one bucket."""
    logging.getLogger("werkzeug").setLevel(logging.CRITICAL)  # it tells every request, and fails some that meet
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    environment = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_REGION": "eu-north-1",
    }
    with closing(HTTPConnection(host, port)) as connection:  # servers of one process share their objects
        connection.request("POST", "/moto-api/reset")
        connection.getresponse().read()
    location = {"LocationConstraint": environment["AWS_REGION"]}
    s3_client(environment).create_bucket(Bucket=BUCKET, CreateBucketConfiguration=location)
    try:
        yield environment
    finally:
        server.stop()


def kills(options: Options) -> Iterator[Row]:
    """Kill in a folder."""
    yield _killed("kills", options, options.local("kills"))


def kills_s3(options: Options) -> Iterator[Row]:
    """Kill over S3."""
    with options.on_s3("kills") as place:
        yield _killed("kills over S3", options, place)


def two_at_once(options: Options) -> Iterator[Row]:
    """Start pairs in a folder and over S3."""
    yield _paired("two at once", options, options.local("pairs"))
    with options.on_s3("pairs") as place:
        yield _paired("two at once over S3", options, place)


def s3_faults(options: Options) -> Iterator[Row]:
    """Let the transient faults of S3 and of networks hit requests at random; a run that gives up is retried."""
    with options.on_s3("faults") as place:
        undisturbed = Undisturbed.run(place, workers=WORKERS, logs=options.folder / "logs" / "faults")
        problems: list[str] = []
        injected = survived = tries = unequal = 0
        for number in range(FAULTY_RUNS):
            rules = random_faults(FAULTS_SHARE, seed=options.seed + number)
            with FaultyS3(place.environment["AWS_ENDPOINT_URL"], rules) as proxy:
                wrong, took = _run_through(place, {**place.environment, **proxy.environment}, undisturbed)
            injected += len(proxy.injected)
            survived += 0 if wrong else len(proxy.injected)
            tries += took
            unequal += place.seen().digests() != undisturbed.digests
            problems += [f"run {number}: {text}" for text in wrong + place.seen().problems()]
            place.empty()
    yield Row(
        section="S3 faults",
        what=f"{FAULTY_RUNS} runs of {undisturbed.cases} cases, {FAULTS_SHARE:.0%} of all requests hit",
        faults=injected,
        survived=survived,
        bytes_equal=not unequal,
        detail=f"{tries - FAULTY_RUNS} retries of a run",
        problems=tuple(problems),
    )


def hostile(options: Options) -> Iterator[Row]:
    """Read malformed recordings: mutants of good ones, and giants."""
    figures, wrong = options.folder / "hostile.json", options.folder / "hostile-wrong"
    command = [sys.executable, "-m", "tests.reliability.hostile", "--inputs", str(options.hostile_inputs)]
    places = ["--seed", str(options.seed), "--wrong", str(wrong), "--json", str(figures)]
    answer = subprocess.run([*command, *places], capture_output=True, text=True, check=False)
    problems = [(answer.stdout + answer.stderr)[-2000:]] if answer.returncode else []
    found: dict[str, Any] = json.loads(figures.read_bytes())["fuzz"] if figures.exists() else {"inputs": 0}
    bad = sum(found.get(name, 0) for name in ("crashes", "hangs", "wrong"))
    yield Row(
        section="hostile files",
        what=f"{options.hostile_inputs} mutants, giants",
        faults=found["inputs"],
        survived=found["inputs"] - bad,
        detail=", ".join(f"{name} {count}" for name, count in found.get("outcomes", {}).items()),
        problems=tuple(problems),
    )


def mutants(options: Options) -> Iterator[Row]:
    """Change stored documents, and do what a user would do next."""
    folder = options.folder / "mutants"
    shutil.rmtree(folder, ignore_errors=True)
    shares = [range(first, options.mutants, WORKERS) for first in range(WORKERS)]
    with ProcessPoolExecutor(WORKERS, mp_context=get_context("spawn")) as pool:
        tried = [
            pool.submit(try_mutants, folder / str(index), options.seed, share) for index, share in enumerate(shares)
        ]
        found = [one.result() for one in tried]
    endings = sum((endings for _, endings in found), Counter[str]())
    problems = [problem for problems, _ in found for problem in problems]
    yield Row(
        section="mutants",
        what=f"{options.mutants} changed documents",
        faults=options.mutants,
        survived=options.mutants - len(problems),
        detail=", ".join(f"{name} {count}" for name, count in endings.items()),
        problems=tuple(problems),
    )


def long_and_large(options: Options) -> Iterator[Row]:
    """Watch a run of many cases, and one of a single large case."""
    source = many(options.folder / f"many-{options.many_cases}", options.many_cases, hours=0.15, workers=WORKERS)
    yield row(f"{options.many_cases} small cases", *watched(source, options.folder / "long"), source=source)
    source = largest(options.folder / f"largest-{options.largest_hours:g}", hours=options.largest_hours)
    made = watched(source, options.folder / "large", "--set", "split.allow_empty=true")
    yield row("one case of VitalDB's largest size", *made, source=source)


SECTIONS: dict[str, Callable[[Options], Iterator[Row]]] = {
    "kills": kills,
    "kills-s3": kills_s3,
    "two-at-once": two_at_once,
    "s3-faults": s3_faults,
    "hostile": hostile,
    "mutants": mutants,
    "long-and-large": long_and_large,
}


def _killed(section: str, options: Options, place: Place) -> Row:
    logs = options.folder / "logs" / section.replace(" ", "-")
    place.empty()
    killer = Killer(place, Undisturbed.run(place, workers=WORKERS, logs=logs / "undisturbed"), logs, options.seed)
    killer.until(options.kills)
    return killer.row(section)


def _paired(section: str, options: Options, place: Place) -> Row:
    logs = options.folder / "logs" / section.replace(" ", "-")
    place.empty()
    pair = Pair(place, Undisturbed.run(place, workers=WORKERS, logs=logs / "undisturbed"), logs, options.seed)
    for _ in range(REPEATS):
        for scenario in SCENARIOS:
            pair.do(scenario)
    return pair.row(section)


def _run_through(place: Place, environment: Mapping[str, str], undisturbed: Undisturbed) -> tuple[list[str], int]:
    """Run until done; return what is wrong, and how many tries it took."""
    for tried in range(1, MOST_TRIES + 1):
        answer = run_vitalprep("run", *place.arguments("--workers", str(WORKERS)), environment=dict(environment))
        if answer.exit_code == 0:
            return ([] if counts_of(answer) == undisturbed.counts else [f"other counts: {counts_of(answer)}"]), tried
        if answer.exit_code != 1:
            return [f"exit code {answer.exit_code}: {answer.result}"], tried
    return [f"not done after {MOST_TRIES} tries: {answer.result}"], MOST_TRIES
