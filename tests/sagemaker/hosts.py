"""The hosts of a training job as processes, each with a folder laid out as SageMaker lays out ``/opt/ml``."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.pipeline import COMMAND

SECONDS = 60.0


def lay_out(folder: Path, host: str, hosts: Sequence[str], hyperparameters: Mapping[str, str]) -> Path:
    """Write what SageMaker writes before it starts a container, with the names of its documentation."""
    config = folder / "input" / "config"
    config.mkdir(parents=True)
    (folder / "output" / "data").mkdir(parents=True)
    (folder / "model").mkdir()
    (config / "hyperparameters.json").write_text(json.dumps(dict(hyperparameters)))
    (config / "inputdataconfig.json").write_text("{}")
    groups = [{"instance_group_name": "homogeneousCluster", "instance_type": "ml.m5.xlarge", "hosts": list(hosts)}]
    resources = {
        "current_host": host,
        "current_instance_type": "ml.m5.xlarge",
        "current_group_name": "homogeneousCluster",
        "hosts": list(hosts),
        "instance_groups": groups,
        "network_interface_name": "eth0",
    }
    (config / "resourceconfig.json").write_text(json.dumps(resources))
    return folder


@dataclass
class Host:
    """A running ``vitalprep sagemaker-job``."""

    folder: Path
    process: subprocess.Popen[bytes]
    log: list[dict[str, Any]] = field(default_factory=list)
    result: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def start(cls, folder: Path, environment: Mapping[str, str] | None = None) -> Host:
        """Start it in a folder that is laid out."""
        named = {"VITALPREP_ML_FOLDER": str(folder), "TRAINING_JOB_NAME": "vitalprep-job"}
        own = os.environ | named | (environment or {})
        with (folder / "stdout").open("wb") as out, (folder / "stderr").open("wb") as error:
            return cls(folder, subprocess.Popen([*COMMAND, "sagemaker-job"], stdout=out, stderr=error, env=own))

    def ended(self) -> int:
        """Wait for its end; return the exit code."""
        code = self.process.wait(timeout=SECONDS)
        lines = (self.folder / "stderr").read_text().splitlines()
        self.log = [json.loads(line) for line in lines if line.startswith("{")]
        printed = (self.folder / "stdout").read_text().splitlines()
        self.result = json.loads(printed[-1]) if printed and printed[-1].startswith("{") else {}
        return code

    @property
    def failure(self) -> str | None:
        """What it left where SageMaker looks for the reason of a failure."""
        path = self.folder / "output" / "failure"
        return path.read_text() if path.exists() else None

    def said(self, text: str) -> bool:
        """Whether its log holds a text by now."""
        return text in (self.folder / "stderr").read_text()

    def reaches(self, moment: Callable[[], bool]) -> None:
        """Wait for a moment that must come before its end."""
        end = time.monotonic() + SECONDS
        while not moment():
            assert self.process.poll() is None, (self.folder / "stderr").read_text()
            assert time.monotonic() < end, (self.folder / "stderr").read_text()
            time.sleep(0.002)
