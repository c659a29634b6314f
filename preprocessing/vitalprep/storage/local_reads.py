"""Reading of local files: whole, or in pieces. A file that changes meanwhile is refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import obstore

from vitalprep.storage.folder import Folder
from vitalprep.storage.object_errors import ObjectChanged
from vitalprep.storage.s3_download import READ_CHUNK

if TYPE_CHECKING:
    from obstore.store import ObjectStore

__all__ = ["file_bytes", "file_meta", "file_pieces"]


def file_bytes(store: ObjectStore, path: str, etag: str | None, size: int | None) -> bytes:
    """Return a file's bytes, given its required etag and size.

    Raises
    ------
    OSError
        If it has another size.
    """
    answer = obstore.get(store, path, options={"if_match": etag} if etag else None)
    data = answer.bytes().to_bytes()
    _refuse_size(len(data), answer.meta["size"] if size is None else size)
    return data


def file_meta(store: ObjectStore, path: str, etag: str | None, size: int | None) -> obstore.ObjectMeta:
    """Return a file's metadata, given its required etag and size.

    Raises
    ------
    OSError
        If it has another size.
    """
    options: Any = {"head": True} | ({"if_match": etag} if etag else {})
    meta = obstore.get(store, path, options=options).meta
    _refuse_size(meta["size"], meta["size"] if size is None else size)
    return meta


def file_pieces(folder: Folder, path: str, meta: obstore.ObjectMeta) -> Iterator[bytes]:
    """Yield a file in pieces.

    Raises
    ------
    ObjectChanged
        If its etag differs from that of `meta` at the end.
    """
    left, uri = meta["size"], f"{folder.path.rstrip('/')}/{path}"
    # Reads the file directly: `obstore` copies each chunk twice and takes three times as long.
    with folder.errors(verb="read", uri=uri), Path(folder.path, path).open("rb", buffering=0) as file:
        while piece := file.read(READ_CHUNK):
            left -= len(piece)
            if left <= 0 and obstore.head(folder.store, path)["e_tag"] != meta["e_tag"]:
                raise ObjectChanged(f"{uri} changed while it was being read.", fix="plan again.")
            yield piece


def _refuse_size(found: int, wanted: int) -> None:
    if found != wanted:
        raise OSError(f"read {found} of {wanted} bytes")
