"""Twenty thousand mutants, and a check that the supervisor detects crashes, hangs and wrong answers."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.reliability.hostile import __main__ as nightly
from tests.reliability.hostile.giants import MOST_MEMORY
from tests.reliability.hostile.outcomes import OUTCOMES
from tests.reliability.hostile.session import LONGEST_READ, Session
from tests.reliability.hostile.verdict import WrongAnswer, harmonized, judged
from vitalprep.vital.recording import read_vital

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are watched through /proc")
CORPUS = sorted(Path(__file__).with_name("corpus").glob("*.vital"))


def test_twenty_thousand_mutants(tmp_path: Path) -> None:
    """Each gives the true values or a reason. `python -m tests.reliability.hostile` reads a million."""
    found = Session(tmp_path, seed=1, wrong=tmp_path).run(20_000)
    assert found.bad == []
    assert (found.inputs, found.crashes, found.hangs, found.wrong) == (20_000, 0, 0, 0)
    assert found.peak_rss < MOST_MEMORY
    assert found.slowest < LONGEST_READ
    assert sum(found.outcomes.values()) == found.inputs
    assert all(found.outcomes[reason] > 200 for reason in ("ok", "not_vital", "truncated", "corrupt"))
    assert found.harmonized > 100
    assert found.edges > 90, "the mutants do not get into the compiled reader"


@pytest.mark.parametrize("path", CORPUS, ids=[path.stem for path in CORPUS])
def test_what_was_found_before(path: Path) -> None:
    """A file's name begins with what it must come to, on the grid if it can be read."""
    found = judged(path.read_bytes(), None)
    outcome = found.outcome if found.recording is None else harmonized(found.recording)
    wanted = path.stem.rpartition("-")[0]
    assert outcome == wanted or wanted not in OUTCOMES


def test_the_corpus_is_small_and_has_every_outcome() -> None:
    assert sum(path.stat().st_size for path in CORPUS) < 200_000
    assert {path.stem.rpartition("-")[0] for path in CORPUS} >= {*OUTCOMES}


# The watch: a fuzzing process that fails at its third input, in three ways


@pytest.fixture(params=["crash", "hang", "wrong"])
def failing(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a module that fuzzes, but fails in one way at the inputs of the third kind."""
    (tmp_path / "failing.py").write_text(FAILING)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{Path.cwd()}")
    monkeypatch.setenv("FAIL", request.param)
    return str(request.param)


FAILING = """
import ctypes, os
from tests.reliability.hostile import fuzzer

class Failing(fuzzer._Fuzzer):
    def _judge(self, made):
        if self.ledger.begun == 3 and self.orders.first == 0:
            if os.environ["FAIL"] == "crash":
                ctypes.string_at(0)
            if os.environ["FAIL"] == "hang":
                while True:
                    pass
            raise AssertionError("no true value")
        super()._judge(made)

fuzzer._Fuzzer = Failing
if __name__ == "__main__":
    fuzzer.main()
"""


def test_a_failure_is_laid_at_the_door_of_its_input(failing: str, tmp_path: Path) -> None:
    session = Session(tmp_path, seed=2, wrong=tmp_path, longest=0.5)
    found = session.run(10, module="failing")
    assert (found.inputs, found.crashes, found.hangs, found.wrong) == (
        10,
        int(failing == "crash"),
        int(failing == "hang"),
        int(failing == "wrong"),
    )
    (name,) = found.bad
    assert name.startswith(failing)
    assert sum(found.outcomes.values()) == 9
    judged((tmp_path / name).read_bytes(), None)


def test_the_nightly_mode_tells_what_it_did(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    figures, kept = tmp_path / "figures.json", tmp_path / "kept"
    options = ["--wrong", str(tmp_path), "--keep", str(kept), "--json", str(figures)]
    assert nightly.main(["--inputs", "300", "--workers", "2", "--seed", "3", "--no-giants", *options]) == 0
    found = json.loads(figures.read_bytes())["fuzz"]
    assert sum(found["outcomes"].values()) == found["inputs"] == 300
    assert len(list(kept.iterdir())) > 20
    assert "300 in" in capsys.readouterr().out


def test_a_reader_that_accepts_damage_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.reliability.hostile import verdict

    file = next(path for path in CORPUS if path.stem.startswith("ok-")).read_bytes()
    other = next(path for path in reversed(CORPUS) if path.stem.startswith("ok-")).read_bytes()
    assert judged(file, None).outcome == "ok"
    monkeypatch.setattr(verdict, "read_vital", lambda data, reading: read_vital(file, reading=reading))
    for damaged in (other, file + b"x", file[:-1]):
        with pytest.raises(WrongAnswer):
            judged(damaged, None)
