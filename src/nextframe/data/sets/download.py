"""Files that are downloaded once, checked against a known checksum and kept in one cache folder."""

from __future__ import annotations

import hashlib
from pathlib import Path

from nextframe.core.errors import BadInputError
from nextframe.core.files.cache import CACHE_VARIABLE, cache_folder
from nextframe.core.quiet import import_bars


def fetch(url: str, checksum: str, folder: str) -> Path:
    """Return the local path of `url`, downloaded into `folder` of the cache if it is not there yet.

    Args:
        url: where the file is; its last part names the local file.
        checksum: what the file must hash to, as "md5:..." or "sha256:...".
        folder: sub-folder of the cache, such as "mnist".

    Raises:
        BadInputError: no network, an answer that is not the file, or a cache folder that cannot be written.
    """
    name = url.rsplit("/", 1)[1]
    target = cache_folder() / folder / name
    if _is_there(target, checksum):
        return target
    import_bars()
    import pooch
    from requests.exceptions import RequestException

    pooch.get_logger().setLevel("WARNING")
    try:
        return Path(pooch.retrieve(url, checksum, fname=name, path=target.parent))
    except RequestException as error:
        why = type(error).__name__
        raise BadInputError(url, f"could not be downloaded ({why})", f"put the file at {target}") from None
    except ValueError:
        raise BadInputError(url, "the download is not the expected file (checksum)", f"put it at {target}") from None
    except OSError as error:
        fix = f"set {CACHE_VARIABLE} to a folder that can be written"
        raise BadInputError(target, f"could not be stored ({error.strerror or error})", fix) from None


def _is_there(path: Path, checksum: str) -> bool:
    """Whether the file is there and whole; where it is, nothing that downloads has to be installed."""
    kind, _, digest = checksum.partition(":")
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, kind).hexdigest() == digest
    except OSError:
        return False  # absent, or not to be read: what downloads says so
