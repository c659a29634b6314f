"""One storage API over local folders and S3. No other package uses `obstore`.

A storage URI is ``s3://bucket/prefix``, ``file:///path`` or a plain path. Every error that reaches the caller is one of
the project's own and names the object. Transient S3 faults are retried first; each retry is logged (`retries`).
"""

from vitalprep.storage.create_only import honours_create_only
from vitalprep.storage.credentials import refuse_broken_credentials
from vitalprep.storage.location import normalized_uri
from vitalprep.storage.object_errors import AccessDenied, ObjectChanged, ObjectMissing
from vitalprep.storage.s3_download import READ_CHUNK, same_etag
from vitalprep.storage.storage import WRITE_BUFFER, Storage, StoredObject, Writer
from vitalprep.storage.whole_object import read_uri

__all__ = [
    "READ_CHUNK",
    "WRITE_BUFFER",
    "AccessDenied",
    "ObjectChanged",
    "ObjectMissing",
    "Storage",
    "StoredObject",
    "Writer",
    "honours_create_only",
    "normalized_uri",
    "read_uri",
    "refuse_broken_credentials",
    "same_etag",
]
