"""Data sets of the Hugging Face Hub by name: hf:user/name in, a folder on this machine out."""

from __future__ import annotations

from pathlib import Path

from nextframe.core.errors import BadInputError, UserError
from nextframe.core.files.hub import WAIT, bars_on_terminals_only, endpoint

PREFIX = "hf:"


def is_hub_name(name: str) -> bool:
    """Return whether `name` means a data set of the Hub: hf:user/name, or hf:user/name@revision."""
    return name.startswith(PREFIX)


def fetch_dataset(name: str) -> Path:
    """Return the folder of a data set in the Hub's cache on this machine, downloading what is missing.

    Without a network, what was downloaded before is used.

    Args:
        name: hf:user/name, or hf:user/name@revision for a branch, tag or commit.

    Raises:
        BadInputError: no such data set or revision, a private one without a token, or no network and no copy.
    """
    bars_on_terminals_only()
    from huggingface_hub import errors, snapshot_download

    repository, _, revision = name.removeprefix(PREFIX).partition("@")
    try:
        folder = snapshot_download(
            repository,
            repo_type="dataset",
            revision=revision or None,
            endpoint=endpoint(),
            etag_timeout=WAIT,
            library_name="nextframe",
        )
    except errors.HFValidationError as error:
        raise UserError(f"'{name}' is not a data set of the Hub: {error}") from None
    except errors.GatedRepoError:
        raise BadInputError(name, "requires its terms to be accepted", "accept them on the Hub") from None
    except (errors.RepositoryNotFoundError, errors.RevisionNotFoundError):
        fix = "check the name; a private one needs HF_TOKEN"
        raise BadInputError(name, "the Hub has no such data set or revision", fix) from None
    except errors.LocalEntryNotFoundError:
        fix = "give a folder, or try again with a network"
        raise BadInputError(name, "is not on this machine, and the Hub cannot be reached", fix) from None
    except errors.HfHubHTTPError as error:
        raise BadInputError(name, f"the Hub refuses it ({str(error).splitlines()[0]})") from None
    except OSError as error:
        raise BadInputError(name, f"cannot be stored here ({error})", "free disk space, or set HF_HOME") from None
    return Path(folder)
