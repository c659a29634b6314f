"""The share of a host in a job of several: every case on exactly one, whoever tells."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.pipeline import data_digests, run_vitalprep
from vitalprep.plan.shards import modulo_shards
from vitalprep.runtime.errors import UsageError
from vitalprep.sagemaker.hosts import HostShare, host_share

HOSTS = [f"algo-{number}" for number in range(1, 7)]


def told(current: str, hosts: list[str] = HOSTS) -> dict[str, object]:
    return {"current_host": current, "hosts": hosts, "network_interface_name": "eth0"}


def test_the_file_wins_over_the_variables(tmp_path: Path) -> None:
    config = tmp_path / "resourceconfig.json"
    config.write_text(json.dumps(told("algo-2")))
    environment = {"SM_HOSTS": json.dumps(["algo-1"]), "SM_CURRENT_HOST": "algo-1"}
    assert host_share(environment, resource_config=config) == HostShare("algo-2", tuple(HOSTS), str(config))


def test_the_variables_where_there_is_no_file(tmp_path: Path) -> None:
    absent = tmp_path / "resourceconfig.json"
    one = host_share({"SM_HOSTS": json.dumps(HOSTS), "SM_CURRENT_HOST": "algo-6"}, resource_config=absent)
    other = host_share({"SM_TRAINING_ENV": json.dumps(told("algo-6"))}, resource_config=absent)
    assert (one.index, one.count) == (other.index, other.count) == (5, 6)


def test_six_hosts_share_the_cases_without_overlap_whatever_order_each_is_told(tmp_path: Path) -> None:
    cases = list(range(1, 3001))
    shares = []
    for turn, host in enumerate(HOSTS):
        environment = {"SM_TRAINING_ENV": json.dumps(told(host, HOSTS[turn:] + HOSTS[:turn]))}
        share = host_share(environment, resource_config=tmp_path / "absent")
        shares.append(modulo_shards(cases, share.count)[share.index])
    assert sorted(case for share in shares for case in share) == cases
    assert {len(share) for share in shares} == {500}


def test_two_hosts_make_the_data_set_of_one(recordings: Path, tmp_path: Path) -> None:
    alone = run_vitalprep("run", "--input", recordings, "--output", tmp_path / "alone")
    sharding = ("--shards", "2", "--sharding", "modulo")
    plan = run_vitalprep("plan", "--input", recordings, "--output", tmp_path / "shared", *sharding).result["plan"]
    done = 0
    for host in ("algo-1", "algo-2"):
        environment = {"SM_HOSTS": '["algo-1", "algo-2"]', "SM_CURRENT_HOST": host}
        answer = run_vitalprep("harmonize", "--plan", plan, "--this-host", environment=environment)
        assert answer.exit_code == 0
        assert answer.result["already_done"] == 0
        done += answer.result["harmonized"]
    assert done == 14
    three = {"SM_HOSTS": '["a", "b", "c"]', "SM_CURRENT_HOST": "a"}
    refused = run_vitalprep("harmonize", "--plan", plan, "--this-host", environment=three)
    assert (refused.exit_code, refused.result["fix"]) == (2, "plan with --shards 3 --sharding modulo.")
    rest = run_vitalprep("run", "--input", recordings, "--output", tmp_path / "shared")
    assert data_digests(rest.result["dataset"]) == data_digests(alone.result["dataset"])


@pytest.mark.parametrize(
    ("environment", "named"),
    [
        ({}, "no SM_HOSTS"),
        ({"SM_HOSTS": '["algo-1"]'}, "this host None"),
        ({"SM_HOSTS": "algo-1", "SM_CURRENT_HOST": "algo-1"}, "SM_HOSTS is no JSON"),
        ({"SM_HOSTS": '["a", "a"]', "SM_CURRENT_HOST": "a"}, "SM_HOSTS and SM_CURRENT_HOST names"),
        ({"SM_TRAINING_ENV": "[]"}, "SM_TRAINING_ENV names the hosts None"),
    ],
)
def test_what_makes_no_sense_is_named(environment: dict[str, str], named: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=named):
        host_share(environment, resource_config=tmp_path / "absent")
