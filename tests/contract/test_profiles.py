"""Each packaged profile settles over the registry, and says for its tracks which input they feed."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
import yaml

from tests.pipeline import run_vitalprep
from vitalprep.contract.config_file import load_config
from vitalprep.contract.profiles import known_tracks, profile_content, profile_names, profile_sources
from vitalprep.runtime.errors import UsageError

PUMPED = {"Propofol_INF", "Remifentanil_INF", "Noradrenalin_INF"}


@pytest.mark.parametrize("name", profile_names())
def test_a_profile_adds_its_sources_after_those_of_the_registry(name: str) -> None:
    settled, registry = load_config(profiles=[name]), load_config()
    for before, item in zip(registry.inputs, settled.inputs, strict=True):
        added = [source["track"] for fed, source in profile_sources(name) if fed == item.name]
        assert [source.track for source in item.sources] == [*(source.track for source in before.sources), *added]
        assert item.model_copy(update={"sources": before.sources}) == before


@pytest.mark.parametrize("name", profile_names())
def test_a_profile_gives_each_source_limits_within_the_range_of_its_input(name: str) -> None:
    """Limits in the source's unit, converted, leave room for the whole normalization range of the input."""
    config = load_config(profiles=[name])
    for item in config.inputs:
        for source in item.sources:
            factor = source.conversion.factor if source.conversion else 1.0
            if factor is not None and item.name != "FIO2":
                assert source.limits[1] * factor >= item.range[1], source.track


def test_all_profiles_go_together() -> None:
    config = load_config(profiles=profile_names())
    tracks = Counter(source.track for item in config.inputs for source in item.sources)
    assert set(tracks.values()) == {1}
    assert set(known_tracks()) <= set(tracks)


@pytest.mark.parametrize("name", profile_names())
def test_no_profile_says_what_is_in_a_syringe(name: str) -> None:
    assert not PUMPED & {item["name"] for item in profile_content(name)["inputs"]}


def test_known_tracks_name_profile_and_input() -> None:
    assert known_tracks()["Intellivue/ABP_MEAN"] == (("intellivue", "BP_MAP"),)
    assert known_tracks()["Bx50/HR"] == (("carescape", "HR"),)
    assert "Solar8000/HR" not in known_tracks()


def test_an_unknown_profile_is_refused_with_its_neighbours() -> None:
    with pytest.raises(UsageError, match="did you mean intellivue"):
        load_config(profiles=["intelivue"])


def test_a_profile_over_a_whole_configuration_is_refused(tmp_path: Path) -> None:
    whole = tmp_path / "whole.yaml"
    whole.write_text(yaml.safe_dump(load_config().content(), allow_unicode=True))
    assert load_config(str(whole)) == load_config()
    with pytest.raises(UsageError, match="whole configuration"):
        load_config(str(whole), profiles=["draeger"])


def test_the_users_file_is_laid_over_the_profile(tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"
    own.write_text("inputs: [{name: BIS, sources: [{track: Intellivue/EEG_BIS, remove: true}]}]")
    answer = run_vitalprep("config", "--profile", "intellivue", "--config", own, "--json")
    tracks = {source["track"] for item in answer.result["features"] for source in item["sources"]}
    assert "Intellivue/EEG_BIS" not in tracks
    assert "Intellivue/HR" in tracks
