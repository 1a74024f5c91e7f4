"""Make rows of the tables of Moving MNIST in shares: each call makes those that are left, and ends in time.

The table of small models, ten minutes of one thread each (a row that is there is kept, so call it again to go on):

    OMP_NUM_THREADS=1 python bench/moving_mnist_rows.py moving-mnist-small -o results/moving-mnist-small.json

The table of full-size models on a machine with a GPU that is lent for nine minutes at a time:

    PYTHONPATH=src python bench/moving_mnist_rows.py moving-mnist --minutes 2 --within 8.5 -o results/moving-mnist.json

MNIST is taken from mnist/ in $NEXTFRAME_CACHE where it is there, else downloaded. --page writes the table between two
marks of a page.
"""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

from nextframe.benchmark import TASKS, BenchmarkTask
from nextframe.benchmark.collected import digits_table, fill, read_rows
from nextframe.core.errors import NextframeError, UserError
from nextframe.core.files.whole_file import write_whole
from nextframe.recipes.protocols import PROTOCOLS

LOG = logging.getLogger("moving-mnist")
FULL = ["quickstart", *(name for name in PROTOCOLS if name.endswith("-mmnist") or name == "convlstm-s")]
BASELINES = ["copy-last", "linear", "flow"]


def main() -> int:
    """Make the rows that are left, and say which still are."""
    args = arguments().parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        left = make(args)
        if args.page is not None:
            write_table(args.page, args.task, digits_table(read_rows(args.output)))
    except NextframeError as error:
        LOG.error("%s: %s", Path(__file__).stem, error)
        return 2
    LOG.info("left: %s", ", ".join(left) or "none")
    return 0


def arguments() -> argparse.ArgumentParser:
    """Return the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", choices=["moving-mnist", "moving-mnist-small"])
    parser.add_argument("--models", help="names separated by commas; else all of the table")
    parser.add_argument("--minutes", type=float, help="of training for each; else the task's")
    parser.add_argument("--steps", type=int, help="of training, instead of minutes")
    parser.add_argument(
        "--within", type=float, help="minutes for this call: no row is begun that would not end in them"
    )
    parser.add_argument("--reserve", type=float, default=60.0, help="seconds to measure a row in (default 60)")
    parser.add_argument("--data", help="mnist_test_seq.npy, for the test split of moving-mnist")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--work", type=Path, help="folder of the runs (default runs/TASK)")
    parser.add_argument("-o", "--output", type=Path, required=True, help="the file of rows")
    parser.add_argument("--page", type=Path, help="a page with the marks of the task's table")
    return parser


def make(args: argparse.Namespace) -> list[str]:
    """Make the rows; return the names of those that are left."""
    task = TASKS.get(args.task)
    assert isinstance(task, BenchmarkTask)
    models = args.models.split(",") if args.models else [*BASELINES, *FULL] if args.task == "moving-mnist" else None
    budget = {"steps": args.steps} if args.steps else {"minutes": args.minutes or task.training.minutes or 0.0}
    work = args.work or Path("runs") / args.task
    return fill(
        task,
        args.output,
        work,
        models,
        budget,
        data=args.data,
        device=args.device,
        within=args.within,
        reserve=args.reserve,
        show=False,
    )


def write_table(page: Path, task: str, table: str) -> None:
    """Put `table` between the marks of `task` on the page.

    Raises:
        UserError: the page does not have them.
    """
    text = page.read_text(encoding="utf-8")
    first, last = marks(task)
    before, found, rest = text.partition(first)
    _, ended, after = rest.partition(last)
    if not (found and ended):
        raise UserError(f"{page}: has no place for the table; write the lines {first} and {last}")
    write_whole(page, f"{before}{first}\n\n{table}\n{last}{after}")


def marks(task: str) -> tuple[str, str]:
    """Return the lines between which the table of `task` stands on a page."""
    return f"<!-- rows of {task} -->", f"<!-- end of the rows of {task} -->"


if __name__ == "__main__":
    sys.exit(main())
