"""What a refused data set leaves: its report, which shows what became of the cases, and nothing that says published."""

from __future__ import annotations

from pathlib import Path

from tests.pipeline import run_vitalprep
from tests.report.html_page import parsed
from vitalprep.simulate.simulate import SimulationOptions, simulate_folder


def test_a_refused_data_set_has_a_report_that_says_so_until_it_is_published(tmp_path: Path) -> None:
    recordings, output = tmp_path / "recordings", tmp_path / "output"
    simulate_folder(recordings, SimulationOptions(seed=4, cases=24, hours=0.3, spread=0.3, damage={"truncated": 0.1}))
    command = ("run", "--input", recordings, "--output", output)
    refused = run_vitalprep(*command)
    assert refused.exit_code == 65
    (dataset,) = (path for path in (output / "datasets").iterdir() if path.is_dir())
    assert {path.name for path in dataset.iterdir() if path.suffix in (".html", ".md", ".csv")} == {"report.html"}
    assert not (dataset / "validation.json").exists()
    page = parsed(dataset / "report.html")
    banner = page.one("p", class_="banner refused").text
    assert "not published" in banner
    assert "truncated" in banner
    assert "lower validation.min_success_rate" in banner
    (state,) = run_vitalprep("status", output).result["datasets"]
    assert (state["state"], state["report"]) == ("refused", True)
    assert run_vitalprep(*command, "--set", "validation.min_success_rate=0.5").exit_code == 0
    published = (dataset / "report.html").read_bytes()
    assert not list(parsed(published).all("p", class_="banner refused"))

    stricter = run_vitalprep(*command, "--set", "validation.min_windows=1000000")
    assert stricter.exit_code == 65
    assert (dataset / "report.html").read_bytes() == published, "it is published, whatever is demanded since"
