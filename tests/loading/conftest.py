"""One small data set in its forms: several files a split or one, GZIP or not, in a folder or in S3."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.pipeline import BUCKET, run_vitalprep, s3_client


@dataclass(frozen=True)
class Published:
    """URIs of the same windows."""

    sharded: str
    gzipped: str
    s3: str
    windows: dict[str, int]

    @property
    def folder(self) -> Path:
        return Path(self.sharded)


@pytest.fixture(scope="package")
def published(
    recordings: Path, tmp_path_factory: pytest.TempPathFactory, s3_environment: dict[str, str]
) -> Iterator[Published]:
    output = tmp_path_factory.mktemp("loading")
    settings = (["output.shard_mb=1"], ["output.shard_mb=1", "output.layout=single", "output.compression=gzip"])
    answers = [
        run_vitalprep(
            "run", "--input", recordings, "--output", output, *(part for one in some for part in ("--set", one))
        )
        for some in settings
    ]
    sharded, gzipped = (answer.result["dataset"] for answer in answers)
    client = s3_client(s3_environment)
    for path in Path(sharded).iterdir():
        client.upload_file(str(path), BUCKET, f"loading/{path.name}")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in s3_environment.items():
            patch.setenv(name, value)
        yield Published(sharded, gzipped, f"s3://{BUCKET}/loading", answers[0].result["windows"])
