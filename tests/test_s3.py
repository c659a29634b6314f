"""The same code over S3: a real S3 API (moto's server) gives the same data set as a local folder."""

from __future__ import annotations

from pathlib import Path

from tests.pipeline import BUCKET, data_digests, run_vitalprep, s3_client


def test_a_run_over_s3_gives_the_same_bytes(recordings: Path, tmp_path: Path, s3_environment: dict[str, str]) -> None:
    client = s3_client(s3_environment)
    for path in recordings.rglob("*"):
        if path.suffix in (".vital", ".csv"):
            client.upload_file(str(path), BUCKET, f"raw/{path.relative_to(recordings)}")
    over_s3 = run_vitalprep(
        "run", "--input", f"s3://{BUCKET}/raw", "--output", f"s3://{BUCKET}/out", environment=s3_environment
    )
    assert over_s3.exit_code == 0, over_s3.result
    again = run_vitalprep(
        "run", "--input", f"s3://{BUCKET}/raw", "--output", f"s3://{BUCKET}/out", environment=s3_environment
    )
    assert again.result["new"] is False

    prefix = over_s3.result["dataset"].removeprefix(f"s3://{BUCKET}/")
    listing = client.list_objects_v2(Bucket=BUCKET, Prefix=prefix + "/")["Contents"]
    for item in listing:
        client.download_file(BUCKET, item["Key"], str(tmp_path / item["Key"].rpartition("/")[2]))
    local = run_vitalprep("run", "--input", recordings, "--output", tmp_path / "out")
    assert data_digests(tmp_path) == data_digests(local.result["dataset"])


def test_a_bucket_that_is_not_there(tmp_path: Path, s3_environment: dict[str, str]) -> None:
    answer = run_vitalprep(
        "run", "--input", "s3://no-such-bucket/raw", "--output", tmp_path, environment=s3_environment
    )
    assert answer.exit_code == 2
    assert "no-such-bucket" in answer.result["message"]
