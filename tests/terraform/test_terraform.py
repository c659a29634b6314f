"""``terraform/`` is checked without an account: against the provider's schema, by its own tests, and by two linters.

The schema comes from ``../shared/tools/terraform-check``, whose stand-in for the AWS provider also "applies", so that
policies and outputs are seen as they come out and not as they are written.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError

from tests.pipeline import COMMAND, Answer, run_vitalprep, s3_client
from tests.sagemaker.hosts import Host, lay_out
from tests.terraform.guarded_s3 import OWNER, granted, guarded_s3

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "terraform"
TERRAFORM_CHECK = ROOT.parent / "shared" / "tools" / "terraform-check"
ACCOUNT = "123456789012"  # the stand-in's

NOT_ALLOWED = 2  # vitalprep's exit code where storage refuses
GONE = 65  # what is planned is no longer there

# Everything that can be asked for at once, so that every policy is there.
EVERYTHING = {
    "alarm_email": "team@example.org",
    "airflow_host": "true",
    "batch": "true",
    "permissions_boundary_arn": f"arn:aws:iam::{ACCOUNT}:policy/boundary",
    "tags": '{owner = "anaesthesia"}',
    "airflow_trusted_arns": f'["arn:aws:iam::{ACCOUNT}:role/elsewhere"]',
    "kms_key_arn": f"arn:aws:kms:eu-north-1:{ACCOUNT}:key/ours",
    "subject_salt_secret_arn": f"arn:aws:secretsmanager:eu-north-1:{ACCOUNT}:secret:salt-AbCdEf",
}


def tool(name: str) -> str:
    """Path of a linter: in .venv-infra, else on the PATH."""
    found = shutil.which(name, path=os.pathsep.join([str(ROOT / ".venv-infra" / "bin"), os.environ.get("PATH", "")]))
    if found is None:
        pytest.skip(f"{name} is neither in .venv-infra nor on the PATH")
    return found


def environment(state: Path) -> dict[str, str]:
    """Ours without AWS credentials: nothing here may reach an account."""
    own = {key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "TF_"))}
    return {
        **own,
        "AWS_REGION": "eu-north-1",
        "TF_CLI_CONFIG_FILE": os.devnull,
        "TF_IN_AUTOMATION": "1",
        "TERRAFORM_CHECK_DIR": str(state),
    }


def run(*command: str, state: Path) -> str:
    done = subprocess.run(command, cwd=state, env=environment(state), capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def state() -> Iterator[Path]:
    """Folder of terraform-check after it passed; `work` in it is a copy of ``terraform/``, initialized."""
    if not TERRAFORM_CHECK.is_file():
        pytest.skip("terraform-check (../shared/tools) is not on this machine")
    if shutil.which("terraform") is None:
        pytest.skip("terraform is not installed")
    folder = Path(tempfile.gettempdir()) / f"vitalprep-terraform-check-{os.getuid()}"  # keeps its virtual environment
    folder.mkdir(exist_ok=True)
    (folder / "report.txt").write_text(run(str(TERRAFORM_CHECK), str(FOLDER), state=folder))
    yield folder
    shutil.rmtree(folder / "work")


@pytest.fixture(scope="module")
def applied(state: Path) -> dict[str, Any]:
    """The stand-in's state with everything asked for."""
    [plugin] = (state / "work" / ".terraform" / "providers").glob("*/hashicorp/aws/*/*/terraform-provider-aws*")
    assert "stub_provider" in plugin.read_text(), "only the stand-in may apply"
    chosen = [f"-var={name}={value}" for name, value in EVERYTHING.items()]
    run("terraform", "-chdir=work", "apply", "-input=false", "-auto-approve", "-no-color", *chosen, state=state)
    shown = run("terraform", "-chdir=work", "show", "-json", state=state)
    values: dict[str, Any] = json.loads(shown)["values"]
    return values


def of_type(applied: dict[str, Any], kind: str) -> dict[str, dict[str, Any]]:
    resources = applied["root_module"]["resources"]
    return {one["address"]: one["values"] for one in resources if one["type"] == kind and one["mode"] == "managed"}


def test_the_plan_as_it_comes_makes_what_the_issue_names(state: Path) -> None:
    """terraform-check itself (fmt, validate, plan) has passed in the fixture."""
    plan = json.loads((state / "plan.json").read_text())
    planned = {change["type"] for change in plan["resource_changes"] if change["change"]["actions"] == ["create"]}
    assert planned >= {
        "aws_s3_bucket",
        "aws_ecr_repository",
        "aws_ecs_cluster",
        "aws_ecs_cluster_capacity_providers",
        "aws_ecs_task_definition",
        "aws_cloudwatch_log_group",
        "aws_iam_role",
        "aws_security_group",
        "aws_vpc_endpoint",
        "aws_budgets_budget",
        "aws_cloudwatch_event_rule",
        "aws_sns_topic",
    }
    assert "aws_instance" not in planned
    assert not {kind for kind in planned if "nat_gateway" in kind or "ingress" in kind}


def test_its_own_tests_pass(state: Path) -> None:
    """As part of terraform-check, after the plan."""
    tests = (state / "report.txt").read_text().partition("Plan:")[2]
    assert "Success!" in tests
    assert ", 0 failed" in tests
    assert [
        path.name for path in (FOLDER / "tests").glob("*.tftest.hcl") if f"tests/{path.name}... pass" not in tests
    ] == []


def test_every_variable_and_output_is_described(state: Path) -> None:
    plan = json.loads((state / "plan.json").read_text())["configuration"]["root_module"]
    assert [name for name, one in plan["variables"].items() if not one.get("description")] == []
    assert [name for name, one in plan["outputs"].items() if not one.get("description")] == []


def test_the_example_names_variables_that_exist(state: Path) -> None:
    plan = json.loads((state / "plan.json").read_text())["configuration"]["root_module"]
    lines = (FOLDER / "terraform.tfvars.example").read_text().splitlines()
    named = {line.lstrip("# ").split("=")[0].strip() for line in lines if " = " in line}
    assert named == set(plan["variables"]) - {"vpc_cidr", "airflow_disk_gib"}


def test_the_provider_puts_the_tags_on_everything(state: Path) -> None:
    provider = json.loads((state / "plan.json").read_text())["configuration"]["provider_config"]["aws"]
    [tags] = provider["expressions"]["default_tags"]
    assert tags["tags"] == {"references": ["local.tags"]}


def test_nothing_opens_a_port_or_carries_an_ssh_key(applied: dict[str, Any]) -> None:
    [host] = of_type(applied, "aws_instance").values()
    assert "ingress" not in " ".join(one["type"] for one in applied["root_module"]["resources"])
    assert of_type(applied, "aws_key_pair") == {}
    assert not (host["user_data"] or "").startswith("#cloud-config")
    for group in of_type(applied, "aws_security_group").values():
        assert group["ingress"] == []


def test_outputs_become_an_env_file(applied: dict[str, Any], state: Path, tmp_path: Path) -> None:
    printed = run("terraform", "-chdir=work", "output", "-json", state=state)
    script = [str(FOLDER / "env_from_terraform.py"), str(tmp_path / ".env")]
    subprocess.run(script, input=printed, text=True, check=True, capture_output=True)
    lines = dict(line.split("=", 1) for line in (tmp_path / ".env").read_text().splitlines())
    assert lines["VITALPREP_BACKEND"] == "batch"
    assert lines["VITALPREP_OUTPUT"] == f"s3://vitalprep-output-{ACCOUNT}-eu-north-1"
    assert len(lines["VITALPREP_ECS_SUBNETS"].split(",")) == 3
    assert lines["VITALPREP_SAGEMAKER_IMAGE"].endswith("/vitalprep/worker:0.1.0")
    families = {one["family"] for one in of_type(applied, "aws_ecs_task_definition").values()}
    asked = {lines["VITALPREP_ECS_WORKER_TASK"], lines["VITALPREP_ECS_BUILDER_TASK"]}
    assert asked == families - {json.loads(printed)["runner_task"]["value"]}


def test_iam_actions_exist_and_fit_their_resources(applied: dict[str, Any], tmp_path: Path) -> None:
    """Parliament knows AWS's actions, the resources each takes, and the condition keys each understands."""
    parliament = tool("parliament")
    texts = {address: one["policy"] for address, one in of_type(applied, "aws_iam_policy").items()}
    texts |= {address: one["policy"] for address, one in of_type(applied, "aws_s3_bucket_policy").items()}
    texts |= {address: one["policy"] for address, one in of_type(applied, "aws_sns_topic_policy").items()}
    assert len(texts) >= 12
    for number, text in enumerate(texts.values()):
        (tmp_path / f"{number}.json").write_text(text)
    command = [parliament, "--directory", str(tmp_path), "--json"]
    findings = [
        json.loads(line) for line in subprocess.run(command, capture_output=True, text=True).stdout.splitlines()
    ]
    # ListTasks takes only container instances, which Fargate has none of; AWS's own examples bind it to the cluster.
    others = [one for one in findings if (one["issue"], one["detail"]) != ("RESOURCE_STAR", ["ecs:ListTasks"])]
    assert others == []
    assert len(findings) == 1, "parliament has read the policies"


def test_checkov_finds_nothing_that_is_not_explained() -> None:
    """Skips stand beside the resource with their reason."""
    command = [tool("checkov"), "-d", str(FOLDER), "--framework", "terraform", "--skip-download", "-o", "json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    report = json.loads(done.stdout)["results"]
    assert [f"{one['check_id']} {one['resource']}: {one['check_name']}" for one in report["failed_checks"]] == []
    assert report["parsing_errors"] == []
    assert len(report["passed_checks"]) > 200
    assert all(len(one["check_result"]["suppress_comment"]) > 20 for one in report["skipped_checks"])


def policies_of_roles(applied: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """The policies of each role, under its name without the deployment's."""
    texts = {one["arn"]: json.loads(one["policy"]) for one in of_type(applied, "aws_iam_policy").values()}
    granted: dict[str, list[dict[str, Any]]] = {}
    for one in of_type(applied, "aws_iam_role_policy_attachment").values():
        granted.setdefault(one["role"].removeprefix("vitalprep-"), []).append(texts[one["policy_arn"]])
    return granted


def test_roles_can_do_their_stages_and_no_others(applied: dict[str, Any], recordings: Path) -> None:
    """The real worker, with the rights of the rendered policies and no more."""
    raw, output = (f"vitalprep-{name}-{ACCOUNT}-eu-north-1" for name in ("raw", "output"))
    with guarded_s3(policies_of_roles(applied)) as endpoint:

        def environment_of(role: str) -> dict[str, str]:
            keys = {"AWS_ACCESS_KEY_ID": role, "AWS_SECRET_ACCESS_KEY": "testing"}
            return {"AWS_ENDPOINT_URL": endpoint, "AWS_REGION": "eu-north-1", **keys}

        def as_role(role: str, *arguments: str) -> Answer:
            return run_vitalprep(*arguments, environment=environment_of(role))

        owner = s3_client(environment_of(OWNER))
        for bucket in (raw, output):
            owner.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-north-1"})
        for path in (*recordings.rglob("*.vital"), *recordings.rglob("*.csv")):
            owner.upload_file(str(path), raw, f"raw-data/{path.relative_to(recordings)}")

        damaged, copied, *_ = sorted(str(path.relative_to(recordings)) for path in recordings.rglob("*.vital"))
        owner.put_object(Bucket=raw, Key=f"raw-data/{damaged}", Body=b"no recording")
        where = ("--input", f"s3://{raw}/raw-data", "--output", f"s3://{output}")
        planning = ("plan", *where, "--shards", "1", "--set", "validation.min_success_rate=0.5")
        assert as_role("airflow", "check", *where).exit_code == 0
        planned = as_role("airflow", *planning)
        assert planned.exit_code == 0, planned.result
        plan, dataset = planned.result["plan"], planned.result["dataset"]

        harmonize = ("harmonize", "--plan", plan, "--shard", "0")
        assert as_role("airflow", *harmonize).exit_code == NOT_ALLOWED
        harmonized = as_role("worker", *harmonize)
        assert harmonized.exit_code == 0
        warnings = [line["message"] for line in harmonized.log if line["level"] == "WARNING"]
        assert [warning for warning in warnings if "not_vital" not in warning] == [], "no lost heartbeat"
        replanned = as_role("airflow", *planning)
        assert (replanned.exit_code, replanned.result["dataset"]) == (0, dataset), "it may read why a case is excluded"
        [followed] = as_role("airflow", "status", f"s3://{output}").result["datasets"]
        assert [shard["state"] for shard in followed["shards"]] == ["done"]
        assert followed["shards"][0]["updated"] is not None, "read from what the worker wrote"
        beside = plan.removeprefix(f"s3://{output}/").removesuffix(".json")
        for role in ("worker", "sagemaker"):
            s3_client(environment_of(role)).put_object(Bucket=output, Key=f"{beside}/progress-00001.json", Body=b"")
        owner.delete_object(Bucket=output, Key=f"{beside}/progress-00001.json")
        for key in (f"{beside}.json", f"{beside}/shard-00000.json"):
            with pytest.raises(ClientError):
                s3_client(environment_of("worker")).put_object(Bucket=output, Key=key, Body=b"")

        assert as_role("worker", "build", "--plan", plan, "--split", "test").exit_code == NOT_ALLOWED
        for split in ("train", "validation", "test"):
            assert as_role("builder", "build", "--plan", plan, "--split", split).exit_code == 0
        assert as_role("builder", "publish", "--plan", plan).exit_code == 0
        assert as_role("builder", "validate", dataset).exit_code == 0
        assert as_role("airflow", "validate", dataset, "--quick").exit_code == 0
        [followed] = as_role("airflow", "status", f"s3://{output}").result["datasets"]
        assert (followed["state"], followed["report"]) == ("published", True)
        stored = subprocess.run(
            [*COMMAND, "report", "--dataset", dataset, "--stored"],
            capture_output=True,
            env=os.environ | environment_of("airflow"),
            check=True,
        )
        below = dataset.removeprefix(f"s3://{output}/")
        assert stored.stdout == owner.get_object(Bucket=output, Key=f"{below}/report.html")["Body"].read()
        held = [item["Key"] for item in owner.list_objects_v2(Bucket=output)["Contents"]]
        closed = [key for key in held if key.endswith(".parquet") or ".tfrecord" in key]
        assert any(key.endswith(".parquet") for key in closed)
        assert any(".tfrecord" in key for key in closed)
        for key in closed:
            with pytest.raises(ClientError):
                s3_client(environment_of("airflow")).get_object(Bucket=output, Key=key)

        in_parts = TransferConfig(multipart_threshold=1)  # the same bytes under another etag
        owner.upload_file(str(recordings / copied), raw, f"raw-data/{copied}", Config=in_parts)
        unread = as_role("airflow", *planning)
        assert unread.exit_code == 0, "who plans may not read a recording to recognize it"
        assert unread.result["dataset"] != dataset
        assert any("may be copies of recordings" in line["message"] for line in unread.log)
        owner.upload_file(str(recordings / copied), raw, f"raw-data/{copied}")

        again = as_role("airflow", *planning, "--force")
        assert again.exit_code == 0
        assert again.result["shards"][0]["unfinished"] == again.result["shards"][0]["cases"]

        gone = next(iter(sorted(path.relative_to(recordings) for path in recordings.rglob("*.vital"))))
        owner.delete_object(Bucket=raw, Key=f"raw-data/{gone}")
        assert as_role("worker", *harmonize).exit_code == GONE, "a missing recording is not a missing right"


def test_the_runner_does_a_whole_run_and_resumes_it(applied: dict[str, Any], recordings: Path) -> None:
    raw, output = (f"vitalprep-{name}-{ACCOUNT}-eu-north-1" for name in ("raw", "output"))
    with guarded_s3(policies_of_roles(applied)) as endpoint:

        def environment_of(role: str) -> dict[str, str]:
            keys = {"AWS_ACCESS_KEY_ID": role, "AWS_SECRET_ACCESS_KEY": "testing"}
            return {"AWS_ENDPOINT_URL": endpoint, "AWS_REGION": "eu-north-1", **keys}

        owner = s3_client(environment_of(OWNER))
        for bucket in {raw, output} - {one["Name"] for one in owner.list_buckets()["Buckets"]}:
            owner.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-north-1"})
        for path in (*recordings.rglob("*.vital"), *recordings.rglob("*.csv")):
            owner.upload_file(str(path), raw, f"raw-data/{path.relative_to(recordings)}")

        where = ("--input", f"s3://{raw}/raw-data", "--output", f"s3://{output}", "--set", "windowing.step=50")
        command = ("run", *where, "--set", "validation.min_success_rate=0.5", "--workers", "2")
        first, second = (run_vitalprep(*command, environment=environment_of("runner")) for _ in range(2))
        assert (first.exit_code, second.exit_code) == (0, 0), first.result
        assert first.result["dataset"] == second.result["dataset"]
        with pytest.raises(ClientError):
            s3_client(environment_of("runner")).put_object(Bucket=raw, Key="raw-data/9999.vital", Body=b"")


def test_the_worker_alone_prints_metrics_of_its_progress(applied: dict[str, Any]) -> None:
    tasks = of_type(applied, "aws_ecs_task_definition").values()
    containers = {one["family"].rpartition("-")[2]: json.loads(one["container_definitions"])[0] for one in tasks}
    asked = {name: {one["name"]: one["value"] for one in each["environment"]} for name, each in containers.items()}
    assert asked["worker"]["VITALPREP_METRICS"] == "emf"
    assert "VITALPREP_METRICS" not in asked["builder"] | asked["runner"]
    assert asked["worker"]["AWS_REGION"] == asked["builder"]["AWS_REGION"] == asked["runner"]["AWS_REGION"]


def test_the_submitter_may_call_what_submit_calls(applied: dict[str, Any]) -> None:
    policies = policies_of_roles(applied)["airflow"]
    job = f"arn:aws:sagemaker:eu-north-1:{ACCOUNT}:training-job/vitalprep-2c5263cda312-1"
    group = f"arn:aws:logs:eu-north-1:{ACCOUNT}:log-group:/aws/sagemaker/TrainingJobs"
    wanted = [
        *((f"sagemaker:{call}", job) for call in ("CreateTrainingJob", "AddTags", "DescribeTrainingJob")),
        ("logs:DescribeLogStreams", f"{group}:log-stream:"),  # what IAM is asked, to judge by its refusals
        ("logs:DescribeLogStreams", group),
        ("logs:GetLogEvents", f"{group}:log-stream:vitalprep-2c5263cda312-1/algo-1-1"),
    ]
    assert [one for one in wanted if not granted(policies, *one, prefix="")] == []
    left = f"arn:aws:s3:::vitalprep-output-{ACCOUNT}-eu-north-1/sagemaker/vitalprep-2c5263cda312-1"
    assert granted(policies, "s3:GetObject", f"{left}/failure-algo-1.json", prefix="")
    assert not granted(policies, "s3:GetObject", f"{left}/output/output.tar.gz", prefix="")
    assert not granted(policies, "sagemaker:CreateTrainingJob", job.replace("vitalprep-", "others-"), prefix="")
    assert not granted(policies, "logs:GetLogEvents", f"{group}:log-stream:others-1/algo-1-1", prefix="")


def test_the_sagemaker_role_does_a_whole_plan_that_the_submitter_made(
    applied: dict[str, Any], recordings: Path, tmp_path: Path
) -> None:
    raw, output = (f"vitalprep-{name}-{ACCOUNT}-eu-north-1" for name in ("raw", "output"))
    with guarded_s3(policies_of_roles(applied)) as endpoint:

        def environment_of(role: str) -> dict[str, str]:
            keys = {"AWS_ACCESS_KEY_ID": role, "AWS_SECRET_ACCESS_KEY": "testing"}
            return {"AWS_ENDPOINT_URL": endpoint, "AWS_REGION": "eu-north-1", **keys}

        owner = s3_client(environment_of(OWNER))
        for bucket in {raw, output} - {one["Name"] for one in owner.list_buckets()["Buckets"]}:
            owner.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-north-1"})
        for path in (*recordings.rglob("*.vital"), *recordings.rglob("*.csv")):
            owner.upload_file(str(path), raw, f"raw-data/{path.relative_to(recordings)}")

        where = ("--input", f"s3://{raw}/raw-data", "--output", f"s3://{output}", "--set", "windowing.step=45")
        planning = ("plan", *where, "--shards", "2", "--sharding", "modulo")
        assert run_vitalprep(*planning, environment=environment_of("sagemaker")).exit_code == NOT_ALLOWED
        plan = run_vitalprep(*planning, environment=environment_of("airflow")).result["plan"]
        names = ["algo-1", "algo-2"]
        told = {"command": "run-plan", "plan": plan, "workers": "1"}
        hosts = [Host.start(lay_out(tmp_path / name, name, names, told), environment_of("sagemaker")) for name in names]
        assert [host.ended() for host in hosts] == [0, 0], [host.failure for host in hosts]
        assert hosts[1].log[-1]["message"] == "algo-1 has validated the data set", "it may look at the first host"
        dataset = hosts[0].result["dataset"]
        assert run_vitalprep("validate", dataset, "--quick", environment=environment_of("airflow")).exit_code == 0

        job = s3_client(environment_of("sagemaker"))  # what SageMaker stores of a job, in the job's role
        job.put_object(Bucket=output, Key="sagemaker/vitalprep-x/output/output.tar.gz", Body=b"")
        with pytest.raises(ClientError):
            job.put_object(Bucket=output, Key="runs/2c5263cda312/plan-0123456789ab.json", Body=b"")
