"""What comes from outside leads nowhere else, runs nothing, and what is secret is written nowhere (SECURITY.md)."""

from __future__ import annotations

import ast
import contextlib
import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from tests.pipeline import BUCKET, COMMAND, s3_client
from vitalprep.cli.main import vitalprep as command
from vitalprep.contract.case_list import parse_case_list
from vitalprep.contract.config_file import load_config
from vitalprep.contract.paths import made_by_vitalprep, output_of_dataset, output_of_plan
from vitalprep.contract.plan import Plan
from vitalprep.cost.figures import load_figures
from vitalprep.plan.make_plan import PlanRequest, make_plan
from vitalprep.plan.recordings import recordings_there
from vitalprep.runtime.errors import RefusedError, UsageError
from vitalprep.runtime.strict_yaml import _StrictLoader, yaml_content
from vitalprep.storage import Storage
from vitalprep.storage.location import holds_credentials

ROOT = Path(__file__).resolve().parents[1]
SOURCES = sorted(path for folder in ("preprocessing", "dags", "plugins") for path in (ROOT / folder).rglob("*.py"))
UNPICKLING = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"}
RUNNING = {"eval", "exec", "compile", "__import__"}
FORBIDDEN_CALLS = {
    "os.system",
    "os.popen",
    "np.load",  # reads pickles by option
    "numpy.load",
    "yaml.unsafe_load",
    "yaml.full_load",
    "tempfile.mktemp",
    "multiprocessing.connection.Listener",  # unpickles what comes over a socket
    "multiprocessing.connection.Client",
}


def _violations(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (f"import {a.name}" for a in node.names if a.name.split(".")[0] in UNPICKLING)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in UNPICKLING:
            yield f"from {node.module} import"
        elif isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            keywords = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
            if called in RUNNING | FORBIDDEN_CALLS or keywords.get("shell") == "True":
                yield f"{called}(...)"
            if called == "yaml.load" and keywords.get("Loader") not in ("_StrictLoader", "yaml.SafeLoader"):
                yield "yaml.load(...) with another loader"
            if keywords.get("allow_pickle") == "True":
                yield "allow_pickle"


def test_nothing_is_unpickled_evaluated_or_given_to_a_shell() -> None:
    """The pipes between a process and its own workers carry pickles; nobody else can write to them."""
    assert len(SOURCES) > 80
    assert {
        str(path): list(_violations(path.read_text())) for path in SOURCES if list(_violations(path.read_text()))
    } == {}
    assert issubclass(_StrictLoader, yaml.SafeLoader)


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from marshal import loads",
        "eval('1')",
        "yaml.load(x, Loader=yaml.Loader)",
        "run(x, shell=True)",
    ],
)
def test_the_search_finds_what_it_looks_for(source: str) -> None:
    assert list(_violations(source))


@pytest.mark.parametrize(
    "tag", ["!!python/object/apply:os.mkdir ['{}']", "!!python/name:os.system", "!!python/module:os"]
)
def test_a_tag_of_yaml_is_refused_and_runs_nothing(tmp_path: Path, tag: str) -> None:
    made = tmp_path / "made"
    value = tag.format(made)
    (tmp_path / "config.yaml").write_text(f"windowing:\n  step: {value}\n")
    with pytest.raises(
        UsageError, match=r"config\.yaml is not valid YAML: could not determine a constructor for the tag \(line 2"
    ):
        load_config(str(tmp_path / "config.yaml"))
    with pytest.raises(UsageError, match="the value is not valid YAML"):
        load_config(None, [f"windowing.step={value}"])
    assert not made.exists()


@pytest.mark.parametrize(
    "token", ["../1", "1/../../2", "/etc/passwd", "%2e%2e", "1;ls", "$(id)", "1\x002", "0001.vital"]
)
def test_a_case_list_is_numbers(token: str) -> None:
    with pytest.raises(UsageError, match="is not a case number"):
        parse_case_list(f"1,{token}")


def test_no_text_of_the_configuration_becomes_a_path(recordings: Path) -> None:
    """Its texts are names, units and descriptions; what chooses a path is one of a few words."""
    odd = ["inputs.HR.name=../../HR", "inputs.BIS.description=/etc/passwd", "statics.age.unit=../age"]
    odd += ["statics.asa.column=asa", "statics.asa.name=../asa"]
    plan = make_plan(PlanRequest(input=str(recordings), config=load_config(None, odd)))
    assert plan.config.inputs[0].name == "../../HR"
    for path in (plan.path, *(f"{plan.stem(case.case_id)}.json" for case in plan.cases)):
        assert made_by_vitalprep(path)
    for setting in ("output.layout=../..", "output.compression=/tmp/x"):
        with pytest.raises(UsageError, match="Configuration key"):
            load_config(None, [setting])


@pytest.fixture(scope="module")
def plan(recordings: Path) -> Plan:
    return make_plan(PlanRequest(input=str(recordings), config=load_config()))


@pytest.mark.parametrize("path", ["../secret", "a/../../secret", "/etc/passwd", "a//b", ".", ""])
def test_a_plan_s_objects_lie_below_its_input(plan: Plan, path: str) -> None:
    content = plan.content()
    content["cases"][0]["object"] = path
    with pytest.raises(RefusedError, match="leads outside the input"):
        Plan.from_bytes(_json(content), uri="plan.json")


@pytest.mark.parametrize("place", ["dataset_id", "harmonize_digest", "input_id", "parent"])
@pytest.mark.parametrize("digest", ["../../../etc", "0123456789ab/..", "0123456789AB", "0123456789ab\n", ""])
def test_a_plan_s_digests_are_no_paths(plan: Plan, place: str, digest: str) -> None:
    content = plan.content()
    if place == "input_id":
        content["cases"][0][place] = digest
    elif place == "parent":
        content["append"] = {"parents": [digest], "train": [], "validation": [], "test": []}
    else:
        content[place] = digest
    with pytest.raises(RefusedError, match="not a valid Plan"):
        Plan.from_bytes(_json(content), uri="plan.json")


def test_a_plan_s_shards_hold_its_cases(plan: Plan) -> None:
    content = plan.content() | {"shards": [[1, 99999]]}
    with pytest.raises(RefusedError, match="case 99999, which is not in the plan"):
        Plan.from_bytes(_json(content), uri="plan.json")


def _json(content: dict[str, Any]) -> bytes:
    return json.dumps(content).encode()


@pytest.mark.parametrize(
    "uri",
    ["/out/datasets/..", "s3://bucket/out/datasets/..", "/out/datasets/latest.json", "s3://bucket/0123456789ab"],
)
def test_a_data_set_is_named_by_its_digest(uri: str) -> None:
    with pytest.raises(UsageError, match="not the URI of a data set"):
        output_of_dataset(uri)
    with pytest.raises(UsageError, match="not the URI of a plan"):
        output_of_plan(f"{uri}/plan-0123456789ab.json")


@pytest.mark.parametrize(
    ("path", "made"),
    [
        ("harmonized/0123456789ab/0001-0123456789ab.parquet", True),
        ("datasets/0123456789ab/vitaldb-train.tfrecord-00000-of-00001", True),
        ("runs/0123456789ab/accounting.json", True),
        ("harmonized/0123456789ab/../../x.parquet", False),
        ("harmonized/0123456789ab/0001.parquet", False),
        ("datasets/0123456789ab/notes.txt", False),
        ("datasets/latest.json", False),
        ("raw/0001.vital", False),
        ("x/harmonized/0123456789ab/0001-0123456789ab.json", False),
        ("runs/0123456789ab/accounting.json\n", False),
    ],
)
def test_what_clean_may_remove(path: str, made: bool) -> None:
    assert made_by_vitalprep(path) is made


def test_a_name_that_is_no_case_s_is_not_read(tmp_path: Path) -> None:
    for name in ("..vital", "=1+1.vital", "1_0.vital", "\N{ARABIC-INDIC DIGIT ONE}.vital", "..2fetc.vital"):
        (tmp_path / name).write_text("")
    (tmp_path / "=cmd()").mkdir()
    (tmp_path / "=cmd()" / "7.vital").write_text("")
    assert {case: stored.path for case, stored in recordings_there(Storage(str(tmp_path))).items()} == {
        7: "=cmd()/7.vital"
    }
    (tmp_path / f"{'9' * 200}.vital").write_text("")
    with pytest.raises(RefusedError, match="has a case number above"):
        recordings_there(Storage(str(tmp_path)))


def test_a_link_in_the_input_is_followed(tmp_path: Path) -> None:
    """As SECURITY.md says: whoever may write into the input chooses what is read."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "any.bin").write_bytes(b"12345")
    (tmp_path / "input").mkdir()
    (tmp_path / "input" / "0003.vital").symlink_to(tmp_path / "elsewhere" / "any.bin")
    storage = Storage(str(tmp_path / "input"))
    (found,) = recordings_there(storage).values()
    assert storage.get(found.path, etag=found.etag) == b"12345"


def test_a_key_of_s3_with_dots_reaches_no_other_prefix(
    s3_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in s3_environment.items():
        monkeypatch.setenv(name, value)
    client = s3_client(s3_environment)
    for key in ("odd/%2e%2e/0001.vital", "odd/a..;/0002.vital", "odd/..;/0004.vital", "secret/0003.vital"):
        client.put_object(Bucket=BUCKET, Key=key, Body=b"x")
    assert sorted(recordings_there(Storage(f"s3://{BUCKET}/odd"))) == [1, 2], (
        "a folder that begins with a dot is hidden"
    )


SECRET = "s3cr3tOfTheUser"


@pytest.mark.parametrize("option", ["--input", "--output", "--clinical", "--config", "--append-to"])
@pytest.mark.parametrize(
    ("uri", "words"),
    [
        (f"s3://AKIA:{SECRET}@bucket/x", "credentials"),
        (f"https://me:{SECRET}@host/x", "credentials"),
        (f"s3:/AKIA:{SECRET}@bucket/x", "credentials"),
        (f"s3:AKIA:{SECRET}@bucket/x", "credentials"),
        (f"s3//AKIA:{SECRET}@bucket/x", "credentials"),
        (f"s3:///AKIA:{SECRET}@bucket/x", "credentials"),
        (f"s3://AKIA:{SECRET}/with/slashes@bucket/x", "credentials"),
        (f"s3://AKIA:{SECRET}/bucket/x", "credentials"),
        (f"AKIA:{SECRET}@bucket/x", "credentials"),
        (f"https:/me:{SECRET}@host/x", "credentials"),
        (f"s3://AKIA:{SECRET}@[bad/x", "credentials"),
        (f"s3://[{SECRET}/x", "is not a valid URL"),
        (f"s3://[{SECRET}]/x", "is not a valid URL"),
        (f"https:/host/x?X-Amz-Signature={SECRET}", "query"),
        (f"s3://bucket/x?X-Amz-Signature={SECRET}", "query"),
        (f"s3://bucket/x#{SECRET}", "query"),
        ("s3://bucket/x/../y", r"\.\."),
        ("s3://bucket/x//y", "empty segment"),
    ],
)
def test_a_location_holds_no_secret_and_leads_to_one_place(option: str, uri: str, words: str) -> None:
    given = {"--input": "/in", "--output": "/out"} | {option: uri}
    arguments = [part for pair in given.items() for part in pair]
    with pytest.raises(UsageError, match=words) as caught:
        command.main(["plan", *arguments], standalone_mode=False)
    assert option in caught.value.message
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("uri", [f"s3:/AKIA:{SECRET}@b/x", f"s3://[{SECRET}/x", f"https:/h/x?sig={SECRET}"])
def test_a_storage_repeats_no_secret_either(uri: str) -> None:
    with pytest.raises(UsageError) as caught:
        Storage(uri)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    "uri", ["s3://bucket/a:b@c", "/data/a:b@c", "./a:b@c", "dir/a:b@c", "file:///data/a:b@c", "a@b", "a:b/c"]
)
def test_a_name_with_signs_is_no_secret(uri: str) -> None:
    assert not holds_credentials(uri)


def test_an_endpoint_of_s3_that_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://me:{SECRET}@[bad")
    with pytest.raises(UsageError, match="AWS_ENDPOINT_URL is not a valid URL") as caught:
        Storage("s3://bucket/x")
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("arguments", [("validate",), ("build", "--plan")])
def test_so_do_the_locations_of_plans_and_data_sets(arguments: tuple[str, ...]) -> None:
    with pytest.raises((UsageError, click.UsageError), match="credentials"):
        command.main([*arguments, f"s3://AKIA:{SECRET}@bucket/datasets/0123456789ab"], standalone_mode=False)


def _command_lines(session: int) -> set[str]:
    """The command lines of a session's processes, as anybody on the machine may see them."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, IndexError):
            if int((process / "stat").read_text().rpartition(")")[2].split()[3]) == session:
                found.add((process / "cmdline").read_text() + (process / "comm").read_text())
    return found


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="process titles are read from /proc")
@pytest.mark.parametrize("bucket", [BUCKET, "no-such-bucket"])
def test_no_secret_of_the_environment_is_written_anywhere(
    recordings: Path, tmp_path: Path, s3_environment: dict[str, str], bucket: str
) -> None:
    secrets = {
        "AWS_ACCESS_KEY_ID": "AKIANOTTOBESEEN00000",
        "AWS_SECRET_ACCESS_KEY": "not/to+be/seen/anywhere/at/all/0000000000",
        "AWS_SESSION_TOKEN": "sessiontokennottobeseenanywhere//////////",
        "VITALPREP_SUBJECT_SALT": "salt that nobody may see",
    }
    output = f"s3://{bucket}/{tmp_path.name}"
    arguments = ["run", "--input", recordings, "--output", output, "--workers", "2", "--json", "--cases", "1-9"]
    logging = ["--log-level", "debug", "--log-file", tmp_path / "run.log"]
    hashed = ["--set", "privacy.hash_subjects=true"]
    process = subprocess.Popen(
        [*COMMAND, *map(str, [*arguments, *logging, *hashed])],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | s3_environment | secrets,
        start_new_session=True,
        text=True,
    )
    seen: set[str] = set()
    while process.poll() is None:
        seen |= _command_lines(process.pid)
        time.sleep(0.02)
    texts = [*process.communicate(timeout=60), (tmp_path / "run.log").read_text(), *seen]
    assert any("vitalprep.cli" in title for title in seen)
    if bucket == BUCKET:
        assert process.returncode == 0
        assert len(seen) > 2, "its workers were seen, too"
        client = s3_client(s3_environment)
        objects = client.list_objects_v2(Bucket=BUCKET, Prefix=f"{tmp_path.name}/")["Contents"]
        assert len(objects) > 25
        for item in objects:
            body = client.get_object(Bucket=BUCKET, Key=item["Key"])["Body"].read()
            texts.append(item["Key"] + body.decode("latin-1"))
    else:
        assert process.returncode == 2
    for name, secret in secrets.items():
        assert not any(secret in text for text in texts), name


@pytest.mark.parametrize(
    "text",
    [
        f"a: b: {SECRET}",
        f"*{SECRET}",
        f"!{SECRET} x",
        f"!{SECRET}!x y",
        f"- {SECRET}\nb: [",
        f"'{SECRET}",
        f"%{SECRET} 1\n---\n",
        f'a: "\\{SECRET}"',
        f"{SECRET}\x07",
        f"&{SECRET} [*{SECRET}]",
        f"!!int {SECRET}",
        f"!!bool {SECRET}",
        f"!!timestamp {SECRET}",
        f"? &{SECRET} a\n&{SECRET}",
        "2024-13-45",
        "9" * 5000,
        ":".join(["1"] * 500) + ".5",
    ],
)
def test_what_is_no_yaml_is_not_repeated(tmp_path: Path, text: str) -> None:
    """`--config` may name any file by mistake, or by somebody else's will."""
    (tmp_path / "any").write_text(text)
    for load in (load_config, load_figures):
        with pytest.raises(UsageError, match=r"is not (valid YAML: .|a mapping)") as caught:
            load(str(tmp_path / "any"))
        assert SECRET[:5] not in str(caught.value)


BLOWN_UP = "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 12))
LAUGHS = f"a0: &a0 [x]\n{BLOWN_UP}"
MERGES = "{<<: [" + ", ".join(["{a: 1}"] * 3) + "]}"


@pytest.mark.parametrize("text", [LAUGHS, MERGES, "&a [*a]", "[" * 5000, "{a: " * 5000])
def test_a_small_text_of_yaml_takes_little_memory(text: str) -> None:
    with pytest.raises(UsageError, match="is not valid YAML"):
        yaml_content(text, "it")
    with pytest.raises(UsageError, match="the value is not valid YAML"):
        load_config(None, [f"source={text}"])


def test_an_alias_that_repeats_little_is_read() -> None:
    assert yaml_content("[&a [1, 2], *a]", "it") == [[1, 2], [1, 2]]
