#!/usr/bin/env python3
"""Start `vitalprep run` as one Fargate task: ``terraform output -json | run_on_aws.py [--dry-run] [--spot] ...``.

Other options are those of `vitalprep run`, such as ``--cases 1-3000``. Input and output are Terraform's buckets unless
they are given. --dry-run prints the command and starts nothing; --spot uses spot capacity.
"""

from __future__ import annotations

import json
import shlex
import subprocess
import sys

from env_from_terraform import environment

RUNNER = "runner_task"


def run_task(variables: dict[str, str], task: str, options: list[str], *, spot: bool) -> list[str]:
    """Return the command that starts the task."""
    locations = [("--input", "VITALPREP_INPUT"), ("--output", "VITALPREP_OUTPUT")]
    given = {option.partition("=")[0] for option in options}
    named = [word for option, name in locations if option not in given for word in (option, variables[name])]
    container = {"name": variables["VITALPREP_ECS_CONTAINER"], "command": ["run", *named, *options, "--json"]}
    network = {
        "subnets": variables["VITALPREP_ECS_SUBNETS"].split(","),
        "securityGroups": variables["VITALPREP_ECS_SECURITY_GROUPS"].split(","),
        "assignPublicIp": "ENABLED" if variables["VITALPREP_ECS_ASSIGN_PUBLIC_IP"] == "true" else "DISABLED",
    }
    return [
        *("aws", "ecs", "run-task", "--region", variables["AWS_DEFAULT_REGION"]),
        *("--cluster", variables["VITALPREP_ECS_CLUSTER"], "--task-definition", task),
        *("--capacity-provider-strategy", f"capacityProvider=FARGATE{'_SPOT' if spot else ''},weight=1"),
        *("--propagate-tags", "TASK_DEFINITION"),
        *("--network-configuration", json.dumps({"awsvpcConfiguration": network})),
        *("--overrides", json.dumps({"containerOverrides": [container]})),
        *("--output", "json"),
    ]


def following(variables: dict[str, str], task_arn: str) -> str:
    """Return the commands that show the log and the end of a task."""
    number = task_arn.rpartition("/")[2]
    region = f"--region {variables['AWS_DEFAULT_REGION']}"
    stream = f"{variables['VITALPREP_ECS_LOG_STREAM_PREFIX']}/{variables['VITALPREP_ECS_CONTAINER']}/{number}"
    log = f"{variables['VITALPREP_ECS_LOG_GROUP']} --log-stream-names {stream} --follow"
    cluster = f"{region} --cluster {variables['VITALPREP_ECS_CLUSTER']}"
    end = "tasks[0].[lastStatus, containers[0].exitCode, stopCode, stoppedReason]"
    return "\n".join(
        [
            f"Started {task_arn}",
            f"  log   aws logs tail {region} {log}",
            f"  end   aws ecs describe-tasks {cluster} --tasks {number} --query '{end}' --output text",
            f"  stop  aws ecs stop-task {cluster} --task {number}",
        ]
    )


def start(command: list[str]) -> str:
    """Start the task and return its ARN.

    Raises
    ------
    RuntimeError
        If AWS starts none.
    """
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    except FileNotFoundError as error:
        raise RuntimeError("The AWS CLI is not installed. Fix: install it, or start what --dry-run prints.") from error
    if done.returncode:
        raise RuntimeError(
            "AWS refused the task, see above. Fix: check credentials and region; `terraform apply` first."
        )
    answer = json.loads(done.stdout)
    if not answer.get("tasks"):
        reasons = "; ".join(str(failure.get("reason")) for failure in answer.get("failures", []))
        raise RuntimeError(f"AWS started no task: {reasons}. Fix: try again later, or without --spot.")
    return str(answer["tasks"][0]["taskArn"])


def main(arguments: list[str]) -> int:
    """Read Terraform's outputs from stdin, and start the task or print how."""
    own = {"--dry-run", "--spot"}
    options = [argument for argument in arguments if argument not in own]
    outputs = sys.stdin.read()
    try:
        variables = environment(outputs)
        task = json.loads(outputs).get(RUNNER, {}).get("value")
        if not task:
            raise ValueError(f"Terraform has no output {RUNNER!r}. Fix: run `terraform apply` first.")
        command = run_task(variables, task, options, spot="--spot" in arguments)
        if "--dry-run" in arguments:
            print(shlex.join(command))
        else:
            print(following(variables, start(command)))
    except (ValueError, RuntimeError) as error:
        print(f"run_on_aws: {error}", file=sys.stderr)
        return 2 if isinstance(error, ValueError) else 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
