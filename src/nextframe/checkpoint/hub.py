"""Models of the Hugging Face Hub: a name or a URL in, a model folder on disk out.

Only the two files of a model folder are downloaded, whatever else the repository holds; nothing in them is executed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn
from urllib.parse import unquote, urlsplit

from nextframe.checkpoint.folder import CONFIG, WEIGHTS
from nextframe.core.errors import BadInputError, UserError
from nextframe.core.files.hub import HUB, WAIT, bars_on_terminals_only, endpoint
from nextframe.core.quiet import import_bars

NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)


@dataclass(frozen=True)
class HubModel:
    """A model of the Hub: user/name, and a branch, tag or commit of it (None: the main branch)."""

    name: str
    revision: str | None = None

    def __str__(self) -> str:
        return self.name if self.revision is None else f"{self.name}@{self.revision}"


def parse_hub_name(spec: str) -> HubModel | None:
    """Return what `spec` names on the Hub; None if it cannot be a name of the Hub.

    Names are user/name, user/name@revision, and URLs as a browser shows them: https://huggingface.co/user/name,
    with /tree/REVISION after it for another branch, tag or commit.
    """
    for address in (endpoint() + "/", HUB + "/", "hf://"):
        if spec.startswith(address):
            return _parse_path(unquote(urlsplit(spec.removeprefix(address)).path))
    name, _, revision = spec.partition("@")
    return HubModel(name, revision or None) if NAME.fullmatch(name) and not _leads_out(name) else None


def _parse_path(path: str) -> HubModel | None:
    spec, _, revision = path.strip("/").partition("/tree/")
    name, _, marked = spec.partition("@")
    if not NAME.fullmatch(name) or _leads_out(name):
        return None
    return HubModel(name, revision or marked or None)


def _leads_out(name: str) -> bool:
    return ".." in name


def fetch_model(model: HubModel) -> Path:
    """Return the folder of `model` in the Hub's cache on this machine, downloading what is missing.

    config.json and model.safetensors are of one commit. Without a network, what was downloaded before is used.

    Raises:
        BadInputError: no such model or revision, a private one without a token, or no network; the line says which.
    """
    import_bars()
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    bars_on_terminals_only()
    try:
        folder = snapshot_download(
            model.name,
            revision=model.revision,
            allow_patterns=[CONFIG, WEIGHTS],
            endpoint=endpoint(),
            etag_timeout=WAIT,
            library_name="nextframe",
        )
    except HFValidationError as error:
        raise UserError(f"'{model}' is not a name of the Hub: {error}") from None
    except (HfHubHTTPError, LocalEntryNotFoundError) as error:
        _refuse(model, error)
    except OSError as error:
        raise BadInputError(str(model), f"cannot be stored here ({error})", "free disk space, or set HF_HOME") from None
    missing = [name for name in (CONFIG, WEIGHTS) if not (Path(folder) / name).is_file()]
    if missing:
        raise BadInputError(str(model), f"is on the Hub, but has no {missing[0]}", "it is not a model of nextframe")
    return Path(folder)


def _refuse(model: HubModel, error: Exception) -> NoReturn:
    from huggingface_hub import errors

    where = str(model)
    if isinstance(error, errors.GatedRepoError):
        raise BadInputError(where, "requires its terms to be accepted", "accept them on the Hub") from None
    if isinstance(error, errors.RepositoryNotFoundError):
        fix = "check the name; a private one needs HF_TOKEN"
        raise BadInputError(where, "is neither a folder here nor a model on the Hub", fix) from None
    if isinstance(error, errors.RevisionNotFoundError):
        raise BadInputError(where, f"the Hub has no revision '{model.revision}' of it") from None
    if isinstance(error, errors.LocalEntryNotFoundError):
        what = "no such model or run folder, and the Hub cannot be reached"
        raise BadInputError(where, what, "check the path, or the network") from None
    raise BadInputError(where, f"the Hub refuses it ({str(error).splitlines()[0]})") from None
