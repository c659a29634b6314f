"""Output locations, and the invariants that hold there at any moment: after every kill and during concurrent runs."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from tests.pipeline import BUCKET, s3_client
from tests.reference.table_digest import values_digest

__all__ = ["LocalPlace", "Place", "S3Place", "Seen", "upload"]

STAGING = re.compile(r".*#\d+")  # obstore's name for a local file that is being written
# Receipts, accounting and the report, which draws the receipts' timings, hold times.
SAME_AGAIN = re.compile(r"harmonized/.*\.parquet|datasets/.+/(?!report\.html).+")


@dataclass(frozen=True)
class Seen:
    """What lies in a place.

    Attributes
    ----------
    objects : dict of str to bytes
        Every object by its path; local files that are being written are left out.
    stamps : dict of str to str
        What changes when an object is written again.
    staging : int
        Local files that somebody was writing, or that S3 holds as unfinished uploads.
    """

    objects: dict[str, bytes]
    stamps: dict[str, str]
    staging: int

    @classmethod
    def nothing(cls) -> Seen:
        """Return what an empty place looks like."""
        return cls({}, {}, 0)

    @cached_property
    def receipts(self) -> dict[str, dict[str, Any]]:
        """The receipts by their paths."""
        paths = [path for path in self.objects if path.startswith("harmonized/") and path.endswith(".json")]
        return {path: json.loads(self.objects[path]) for path in paths}

    @property
    def cases(self) -> set[int]:
        """The cases that have a receipt."""
        return {receipt["case_id"] for receipt in self.receipts.values()}

    @property
    def committed(self) -> dict[str, str]:
        """The stamps of receipts and of the tables they name: nothing may write these again."""
        paths = [*self.receipts, *(_table_of(path, receipt) for path, receipt in self.receipts.items())]
        return {path: self.stamps[path] for path in paths if path in self.stamps}

    def summaries(self) -> list[dict[str, Any]]:
        """Return the build summaries."""
        return [json.loads(data) for path, data in self.objects.items() if re.search(r"/build-\w+\.json$", path)]

    def digests(self) -> dict[str, str]:
        """Return the SHA-256 of everything that every run has to write again just so; of JSON, that of its content."""
        same = {path: data for path, data in self.objects.items() if SAME_AGAIN.fullmatch(path)}
        return {path: _sha256(_content(data) if path.endswith(".json") else data) for path, data in same.items()}

    def problems(self) -> list[str]:
        """Return which promises are broken."""
        found = [f"{staging} looks like an object" for staging in self.objects if STAGING.fullmatch(staging)]
        twice = Counter(receipt["case_id"] for receipt in self.receipts.values())
        found += [f"case {case} has {count} receipts" for case, count in twice.items() if count > 1]
        for path, receipt in self.receipts.items():
            table = self.objects.get(_table_of(path, receipt))
            if receipt["status"] == "ok" and (table is None or values_digest(table) != receipt["values_sha256"]):
                found.append(f"case {receipt['case_id']} has a receipt, and not the table it names")
        for summary in self.summaries():
            for file in summary["files"]:
                if _sha256(self.objects.get(f"datasets/{summary['dataset_id']}/{file['name']}", b"")) != file["sha256"]:
                    found.append(f"{file['name']} is not what build-{summary['split']}.json says")
        return found + self._published_too_early()

    def _published_too_early(self) -> list[str]:
        found = []
        passed = set()
        for path, data in self.objects.items():
            if path.endswith("/validation.json") and json.loads(data)["passed"]:
                passed.add(path.split("/")[1])
        for dataset in passed:
            built = [summary for summary in self.summaries() if summary["dataset_id"] == dataset]
            beside = ("cases.csv", "features.json", "dataset_info.json", "preprocessing_metadata.json")
            if len(built) != 3 or any(f"datasets/{dataset}/{name}" not in self.objects for name in beside):
                found.append(f"{dataset} passed, and is not whole")
        latest = self.objects.get("datasets/latest.json")
        if latest is not None and json.loads(latest)["dataset_id"] not in passed:
            found.append("latest.json names a data set that did not pass")
        return found


@dataclass(frozen=True)
class Place:
    """An input and an output that the command is given, other options, and the environment it needs."""

    input: str
    output: str
    options: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)

    def arguments(self, *more: str) -> list[str]:
        """Return the options of ``run`` and ``plan``."""
        return ["--input", self.input, "--output", self.output, *self.options, *more]

    def seen(self) -> Seen:
        """Look at the output."""
        raise NotImplementedError

    def empty(self) -> None:
        """Remove the output."""
        raise NotImplementedError


class LocalPlace(Place):
    """A folder."""

    def seen(self) -> Seen:
        objects, stamps, staging = {}, {}, 0
        root = Path(self.output)
        for path in root.rglob("*"):
            if STAGING.fullmatch(path.name):
                staging += 1
            elif path.is_file():
                name = path.relative_to(root).as_posix()
                objects[name] = path.read_bytes()
                stamps[name] = f"{path.stat().st_ino} {path.stat().st_mtime_ns}"
        return Seen(objects, stamps, staging)

    def empty(self) -> None:
        shutil.rmtree(self.output, ignore_errors=True)


class S3Place(Place):
    """A prefix in the tests' bucket."""

    @property
    def prefix(self) -> str:
        """What the keys of the output begin with."""
        return self.output.removeprefix(f"s3://{BUCKET}/") + "/"

    @cached_property
    def client(self) -> Any:
        """A client that is none of vitalprep's code."""
        return s3_client(dict(self.environment))

    def seen(self) -> Seen:
        objects, stamps = {}, {}
        for page in self.client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=self.prefix):
            for item in page.get("Contents", ()):
                name = item["Key"].removeprefix(self.prefix)
                objects[name] = self.client.get_object(Bucket=BUCKET, Key=item["Key"])["Body"].read()
                stamps[name] = f"{item['ETag']} {item['LastModified']}"
        uploads = self.client.list_multipart_uploads(Bucket=BUCKET, Prefix=self.prefix).get("Uploads", ())
        return Seen(objects, stamps, len(uploads))

    def empty(self) -> None:
        for page in self.client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=self.prefix):
            for item in page.get("Contents", ()):
                self.client.delete_object(Bucket=BUCKET, Key=item["Key"])
        for upload in self.client.list_multipart_uploads(Bucket=BUCKET, Prefix=self.prefix).get("Uploads", ()):
            self.client.abort_multipart_upload(Bucket=BUCKET, Key=upload["Key"], UploadId=upload["UploadId"])


def upload(recordings: Path, environment: Mapping[str, str], prefix: str) -> str:
    """Put recordings and clinical table into the tests' bucket, and return their URI."""
    client = s3_client(dict(environment))
    for path in recordings.rglob("*"):
        if path.suffix in (".vital", ".csv"):
            client.upload_file(str(path), BUCKET, f"{prefix}/{path.relative_to(recordings).as_posix()}")
    return f"s3://{BUCKET}/{prefix}"


def _content(document: bytes) -> bytes:
    return json.dumps(json.loads(document), sort_keys=True).encode()


def _table_of(path: str, receipt: dict[str, Any]) -> str:
    """The table that a receipt at a path names."""
    return f"{path.removesuffix('.json')}-{(receipt['values_sha256'] or '')[:12]}.parquet"


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
