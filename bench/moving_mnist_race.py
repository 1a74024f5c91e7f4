"""Compare two recipes of Moving MNIST by time: does the fast one reach the other's test error in half of its minutes?

Each is trained from nothing to the end of its own schedule: the rival for --minutes, the fast one for --share of them.
Both are measured on the whole test split of the task `moving-mnist`. On a machine with a GPU, in one call of less than
nine minutes:

    PYTHONPATH=src python bench/moving_mnist_race.py --minutes 4.5 -o results/moving-mnist-race.json

Each has a file of its row beside the output, which is kept: a call that was ended is repeated. Precision is each
processor's quickest for both (`auto`), not the 32 bits of the protocols; `--rival-set training.batch=64` changes that
or another setting of one recipe.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import time
from pathlib import Path
from typing import Any

from nextframe.benchmark import TASKS, BenchmarkRow, BenchmarkTask
from nextframe.benchmark.collected import fill, read_rows
from nextframe.core.errors import NextframeError, UserError
from nextframe.core.files.whole_file import write_whole
from nextframe.core.settings import read_yaml
from nextframe.evaluation.run_facts import run_facts
from nextframe.recipes import load_recipe
from nextframe.training.recipe import override

LOG = logging.getLogger("race")
TASK = "moving-mnist"
SELDOM = 2_000  # steps: a checkpoint of simvp has half a gigabyte, and writing it is charged to its minutes
LIMIT = 60.0  # the rival's error has to be below, or it was not trained long enough to compare with


def main() -> int:
    """Train and measure both, and write what was found."""
    args = arguments().parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    started = time.monotonic()
    try:
        rival = row_of(args, args.rival, args.minutes, args.rival_set)
        fast = row_of(args, args.fast, args.minutes * args.share, args.fast_set)
    except NextframeError as error:
        LOG.error("%s: %s", Path(__file__).stem, error)
        return 2
    found = finding(rival, fast)
    run = run_facts(None, rival.run.get("seed"), started)
    write_whole(args.output, json.dumps({"finding": found, "run": run, "rows": [plain(rival), plain(fast)]}, indent=1))
    LOG.info("%s", json.dumps(found, indent=1))
    return 0


def arguments() -> argparse.ArgumentParser:
    """Return the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rival", default="simvp-mmnist", help="a recipe (default simvp-mmnist, which is gSTA)")
    parser.add_argument("--fast", default="moving-mnist-fast", help="a recipe (default moving-mnist-fast)")
    parser.add_argument("--minutes", type=float, required=True, help="of the rival's training")
    parser.add_argument("--share", type=float, default=0.5, help="of them, for the fast recipe (default 0.5)")
    parser.add_argument("--rival-set", action="append", default=[], metavar="SECTION.FIELD=VALUE")
    parser.add_argument("--fast-set", action="append", default=[], metavar="SECTION.FIELD=VALUE")
    parser.add_argument("--data", help="mnist_test_seq.npy, for the test split")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--work", type=Path, default=Path("runs/race"), help="folder of the runs")
    parser.add_argument("-o", "--output", type=Path, required=True)
    return parser


def row_of(args: argparse.Namespace, name: str, minutes: float, changes: list[str]) -> BenchmarkRow:
    """Return the row of recipe `name`, trained for so many minutes with `changes`."""
    task = TASKS.get(TASK)
    assert isinstance(task, BenchmarkTask)
    settings = {"training.precision": "auto", "training.checkpoint_every": SELDOM, **dict(map(setting, changes))}
    recipe = args.work / f"{name}.yaml"
    recipe.parent.mkdir(parents=True, exist_ok=True)
    write_whole(recipe, override(load_recipe(name), settings).to_yaml())
    rows = args.output.with_name(f"{args.output.stem}-{name}.json")
    work, budget = args.work / f"{name}-{minutes:g}", {"minutes": minutes}
    fill(task, rows, work, [str(recipe)], budget, data=args.data, device=args.device, show=False)
    return next(row for row in read_rows(rows) if row.entry == name)


def setting(text: str) -> tuple[str, Any]:
    """Return ("training.batch", 64) of "training.batch=64"; UserError for anything else."""
    name, sign, value = text.partition("=")
    if not sign:
        raise UserError(f"setting '{text}': write SECTION.FIELD=VALUE")
    return name, read_yaml(value)


def finding(rival: BenchmarkRow, fast: BenchmarkRow) -> dict[str, Any]:
    """Return both errors and times, and whether the fast recipe is as good in so much less time.

    Times are those that training took, with all that it waited for: compiling and validation too.
    """
    errors = [row.figures[0].mean for row in (rival, fast)]
    seconds = [row.training.seconds for row in (rival, fast) if row.training is not None]
    known = all(error is not None for error in errors)
    return {
        "metric": rival.figures[0].metric,
        "test": rival.task.definition["data"]["options"]["test"],
        "rival": {"recipe": rival.entry, "error": errors[0], "training seconds": seconds[0]},
        "fast": {"recipe": fast.entry, "error": errors[1], "training seconds": seconds[1]},
        "part of the rival's time": round(seconds[1] / seconds[0], 3),
        "the rival's error is below 60": known and errors[0] < LIMIT,
        "the fast recipe reaches it": known and errors[1] <= errors[0],
    }


def plain(row: BenchmarkRow) -> dict[str, Any]:
    """Return the row as plain values."""
    return row.model_dump(mode="json")


if __name__ == "__main__":
    sys.exit(main())
