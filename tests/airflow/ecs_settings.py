"""What Airflow is told of the tests' ECS."""

from __future__ import annotations

from ecs_endpoint import BUILDER, CLUSTER, CONTAINER, LOG_GROUP, LOG_PREFIX, WORKER

__all__ = ["ecs_settings"]


def ecs_settings(url: str) -> dict[str, str]:
    """Return the environment for an endpoint; as from Terraform, but with shorter pauses."""
    return {
        "VITALPREP_BACKEND": "ecs",
        "VITALPREP_ECS_CLUSTER": CLUSTER,
        "VITALPREP_ECS_WORKER_TASK": WORKER,
        "VITALPREP_ECS_BUILDER_TASK": BUILDER,
        "VITALPREP_ECS_CONTAINER": CONTAINER,
        "VITALPREP_ECS_SUBNETS": "subnet-1,subnet-2",
        "VITALPREP_ECS_SECURITY_GROUPS": "sg-1",
        "VITALPREP_ECS_ASSIGN_PUBLIC_IP": "true",
        "VITALPREP_ECS_LOG_GROUP": LOG_GROUP,
        "VITALPREP_ECS_LOG_STREAM_PREFIX": LOG_PREFIX,
        "VITALPREP_ECS_POLL_SECONDS": "0.2",
        "VITALPREP_LOG_WAIT": "0.2",
        "VITALPREP_ECS_LOG_READS": "1000",
        "VITALPREP_INTERRUPTION_PAUSE": "0.5",
        "AWS_DEFAULT_REGION": "eu-north-1",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_ENDPOINT_URL_ECS": url,
        "AWS_ENDPOINT_URL_CLOUDWATCH_LOGS": url,
    }
