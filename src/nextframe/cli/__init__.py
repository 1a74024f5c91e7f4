"""The command line: one small file per verb, each a thin shell over a function of the library.

No verb imports torch before it runs, so that `nextframe --help` answers at once.
"""

from __future__ import annotations

import logging
import os
import sys

import typer

from nextframe.cli import app as app_verb
from nextframe.cli import (
    benchmark,
    data,
    evaluate,
    export,
    extract_features,
    import_,
    interpolate,
    latent,
    leaderboard,
    models,
    predict,
    prepare,
    push,
    quickstart,
    recipes,
    settings,
    space,
    sweep,
    train,
    transfer,
)
from nextframe.cli.verb import Verb, Verbs

app = typer.Typer(
    name="nextframe",
    cls=Verbs,
    invoke_without_command=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
VERBS = (
    data.data,
    prepare.prepare,
    extract_features.extract_features,
    quickstart.quickstart,
    train.train,
    sweep.sweep,
    models.models,
    recipes.recipes,
    settings.settings,
    evaluate.evaluate,
    benchmark.benchmark,
    leaderboard.leaderboard,
    transfer.transfer,
    latent.latent,
    predict.predict,
    interpolate.interpolate,
    app_verb.app,
    push.push,
    export.export,
    import_.import_,
    space.space,
)
for verb in VERBS:
    app.command(verb.__name__.strip("_").replace("_", "-"), cls=Verb)(verb)  # "import" cannot name a function


@app.callback()
def options(
    run: typer.Context,
    version: bool = typer.Option(False, "--version", help="Show the version and exit."),
) -> None:
    """Predict the next frames of a video: train, evaluate, compare and run models."""
    if version:
        from nextframe import __version__

        typer.echo(__version__)
    elif run.invoked_subcommand is None:
        typer.echo(run.get_help())


def wait_briefly() -> None:
    """Let threads of OpenMP sleep soon after they have nothing to do; what the environment says already stays.

    GNU OpenMP lets them hold their core for milliseconds: beside another program that makes `train` many times slower.
    It counts for this process, as torch is not imported yet, and for those that it starts.
    """
    if not {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"} & os.environ.keys():
        os.environ["GOMP_SPINCOUNT"] = "1000"  # turns of its loop, some microseconds; 300,000 are usual


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit: 0 done, 1 a failure, 2 the user's mistake, 130 interrupted.

    Args:
        arguments: what follows the program's name; sys.argv by default.
    """
    from nextframe.core.terminal import accept_all_letters

    accept_all_letters()
    wait_briefly()
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in words  # anywhere in the line
    words = [word for word in words if word != "--debug"]
    logging.basicConfig(level=logging.INFO, handlers=[_log_handler()])
    if debug:
        logging.getLogger("nextframe").setLevel(logging.DEBUG)
    for client in ("httpx", "httpx2"):  # they log a line for every request to the Hub
        logging.getLogger(client).setLevel(logging.WARNING)
    sys.exit(_run(words, debug))


def _log_handler() -> logging.Handler:
    from nextframe.core.terminal import VisibleFormatter

    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(VisibleFormatter("%(message)s"))
    return handler


def _run(words: list[str], debug: bool) -> int:
    from nextframe.core.errors import NextframeError

    try:
        result = app(words, prog_name="nextframe", standalone_mode=False)
        return result if isinstance(result, int) else 0
    except (typer.Abort, KeyboardInterrupt):
        return _complain("interrupted", 130)
    except BrokenPipeError:
        return 0
    except Exception as error:  # the last line of defence: one line instead of a traceback
        if debug:
            raise
        if isinstance(error, NextframeError):
            return _complain(str(error), error.exit_code)
        if isinstance(error, OSError) and error.strerror:  # the system's refusal: no room, no permission, a bad name
            return _complain(": ".join(filter(None, [str(error.filename or ""), error.strerror.lower()])), 2)
        if hasattr(error, "format_message"):  # usage errors: click's class, or typer's own copy of it
            return _complain(error.format_message(), getattr(error, "exit_code", 2))
        return _complain(f"{type(error).__name__}: {error} (this is a bug: --debug shows where)", 1)


def _complain(message: str, code: int) -> int:
    from nextframe.core.errors import cut
    from nextframe.core.terminal import visible

    typer.echo(f"nextframe: {visible(' '.join(map(cut, message.split())))}", err=True)
    return code
