"""Finds this host's share of a plan where several hosts run the same command (SageMaker's multi-instance jobs).

SageMaker writes who is there into a file of the training container; its toolkits set environment variables, too. The
file wins (https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-training-algo-running-container.html).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vitalprep.contract.plan import Plan, load_shard
from vitalprep.runtime.errors import UsageError
from vitalprep.storage import Storage

__all__ = ["RESOURCE_CONFIG", "HostShare", "host_share", "load_host_shard"]

RESOURCE_CONFIG = Path("/opt/ml/input/config/resourceconfig.json")


@dataclass(frozen=True)
class HostShare:
    """A host among the `hosts` of its job, sorted by name; `told_by` names the file or variables that say so."""

    host: str
    hosts: tuple[str, ...]
    told_by: str

    @property
    def index(self) -> int:
        """Number of this host, from 0."""
        return self.hosts.index(self.host)

    @property
    def count(self) -> int:
        """Number of hosts."""
        return len(self.hosts)


def host_share(environment: Mapping[str, str], *, resource_config: Path = RESOURCE_CONFIG) -> HostShare:
    """Find this host among the hosts of its job.

    Looks into ``resourceconfig.json``, else ``SM_HOSTS`` and ``SM_CURRENT_HOST``, else ``SM_TRAINING_ENV``.

    Raises
    ------
    UsageError
        If none of them is there, or what they say makes no sense.
    """
    if resource_config.exists():
        return _share(_json(resource_config.read_text("utf-8"), str(resource_config)), str(resource_config))
    if "SM_HOSTS" in environment:
        told_by = "SM_HOSTS and SM_CURRENT_HOST"
        hosts = _json(environment["SM_HOSTS"], "SM_HOSTS")
        return _share({"hosts": hosts, "current_host": environment.get("SM_CURRENT_HOST")}, told_by)
    if "SM_TRAINING_ENV" in environment:
        return _share(_json(environment["SM_TRAINING_ENV"], "SM_TRAINING_ENV"), "SM_TRAINING_ENV")
    raise UsageError(
        f"Nothing tells which hosts there are: no {resource_config}, no SM_HOSTS, no SM_TRAINING_ENV.",
        fix="name the shard with --shard; --this-host is for SageMaker's training containers.",
    )


def load_host_shard(plan_uri: str, share: HostShare) -> tuple[Plan, Storage]:
    """Read what this host needs of a plan that has as many shards as its job has hosts.

    Raises
    ------
    UsageError
        If it has more or fewer.
    """
    part, output = load_shard(plan_uri, share.index)
    if len(part.shards) != share.count:
        raise UsageError(
            f"The plan has {len(part.shards)} shards, and there are {share.count} hosts ({share.told_by}).",
            fix=f"plan with --shards {share.count} --sharding modulo.",
        )
    return part, output


def _json(text: str, told_by: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise UsageError(f"{told_by} is no JSON ({error}).", fix="leave it to SageMaker to set it.") from error


def _share(content: Any, told_by: str) -> HostShare:
    hosts = content.get("hosts") if isinstance(content, dict) else None
    current = content.get("current_host") if isinstance(content, dict) else None
    if not isinstance(hosts, list) or len(set(map(str, hosts))) != len(hosts) or current not in hosts:
        raise UsageError(
            f"{told_by} names the hosts {hosts!r} and this host {current!r}.",
            fix="this host must be one of a list of different hosts; leave it to SageMaker to set them.",
        )
    return HostShare(host=str(current), hosts=tuple(sorted(map(str, hosts))), told_by=told_by)
