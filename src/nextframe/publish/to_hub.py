"""Publishing a run on the Hugging Face Hub: its model and a model card."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn, cast

from nextframe.checkpoint.hub import parse_hub_name
from nextframe.core.errors import NextframeError, UserError
from nextframe.core.files.hub import WAIT, bars_on_terminals_only, endpoint
from nextframe.core.quiet import import_bars
from nextframe.publish.card import write_shared


def push(
    run: str | os.PathLike[str],
    name: str,
    *,
    revision: str | None = None,
    private: bool = False,
    licence: str = "apache-2.0",
    clips: int | None = None,
    device: str = "auto",
) -> str:
    """Measure the model of a run, write its card, and put both on the Hub; returns the URL.

    The repository is made if it does not exist. The account is that of `hf auth login` or HF_TOKEN.

    Args:
        run: a run folder.
        name: user/name.
        revision: a branch to write to, made if it does not exist; None: the main one.
        private: make a new repository private.
        licence: an identifier of the Hub.
        clips: measure this many clips of the test split only.
        device: "auto", "cpu", "cuda" or "mps".

    Raises:
        UserError: no run folder, an invalid name, no network, or the Hub refuses; the line says why.
    """
    found = parse_hub_name(name)
    if found is None:
        raise UserError(f"'{name}' is not a name of the Hub: write user/name")
    branch = revision or found.revision
    check_reachable()  # before minutes of measuring
    with tempfile.TemporaryDirectory() as temporary:
        folder = write_shared(run, Path(temporary) / "model", found.name, licence=licence, clips=clips, device=device)
        upload(folder, found.name, branch, private)
    return f"{endpoint()}/{found.name}" + (f"/tree/{branch}" if branch else "")


def check_reachable() -> None:
    """Ask the Hub for nothing but an answer.

    Raises:
        UserError: there is none.
    """
    import_bars()
    from huggingface_hub import get_session

    with _reaching():
        get_session().head(endpoint(), timeout=WAIT)


@contextmanager
def _reaching() -> Iterator[None]:
    """Turn what the library of the Hub raises without a network, its own or its HTTP client's errors, into one line."""
    from huggingface_hub.errors import HfHubHTTPError, LocalTokenNotFoundError

    client = HfHubHTTPError.__bases__  # the base of its HTTP client's errors, which client depends on the version
    gone = cast("tuple[type[Exception], ...]", (*client, OSError))
    try:
        yield
    except (HfHubHTTPError, LocalTokenNotFoundError):
        raise  # an answer, though a refusal
    except gone as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        what = f"{endpoint()} cannot be reached ({reason})"
        raise UserError(f"{what}; check the network, or write the files to a folder with -o") from None


def upload(folder: Path, name: str, branch: str | None, private: bool) -> None:
    """Put the files of `folder` on the Hub as one commit."""
    import_bars()
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, LocalTokenNotFoundError

    bars_on_terminals_only()
    hub = HfApi(endpoint=endpoint(), library_name="nextframe")
    try:
        with _reaching():
            hub.create_repo(name, private=private, exist_ok=True)
            if branch is not None:
                hub.create_branch(name, branch=branch, exist_ok=True)
            hub.upload_folder(repo_id=name, folder_path=folder, revision=branch, commit_message=f"Push {name}")
    except LocalTokenNotFoundError:
        raise UserError("not logged in to the Hub: hf auth login, or set HF_TOKEN") from None
    except HfHubHTTPError as error:
        _refused(name, error)


def _refused(name: str, error: Exception) -> NoReturn:
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status in (401, 403):
        raise UserError(f"{name}: permission denied by the Hub; hf auth login, or set HF_TOKEN") from None
    raise NextframeError(f"{name}: the Hub refuses it ({str(error).splitlines()[0]})") from None
