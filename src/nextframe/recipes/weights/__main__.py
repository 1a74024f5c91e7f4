"""`python -m nextframe.recipes.weights NAME`: train weights that come with the package, write their card, ship them."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from nextframe.checkpoint.names import SHIPPED
from nextframe.core.errors import NextframeError
from nextframe.recipes.weights.asked import SCRATCH, SHIPS, Asked
from nextframe.recipes.weights.card import ship, write_card
from nextframe.recipes.weights.plans import PLANS
from nextframe.recipes.weights.work import train_weights

MINUTES = 8.0


def parser() -> argparse.ArgumentParser:
    """Return the options of the command."""
    found = argparse.ArgumentParser(prog="python -m nextframe.recipes.weights", description=__doc__)
    add = found.add_argument
    add("name", help=f"which weights: {', '.join(PLANS)}")
    add("--minutes", type=float, help=f"of training, compiling included  [default: {MINUTES:g}]")
    add("--steps", type=int, help="instead of minutes")
    add("--out", type=Path, help="a new folder, or that of a call to go on from  [default: runs/weights-NAME]")
    add("--data", type=Path, default=os.environ.get("MOTION_DATA") or "../shared/motion/data", help="or MOTION_DATA")
    add("--list", type=Path, dest="listed", help="of other files than the package's: JSON as motion.json")
    add("--start", help=f"{SCRATCH}, {SHIPS} or a model folder  [default: {SCRATCH} on a GPU, else {SHIPS}]")
    add("--lr", type=float, help="the highest learning rate")
    add("--seed", type=int, default=0, help="the random seed")
    add("--device", default="auto", help="auto, cpu, cuda or mps")
    add("--no-compile", dest="compile", action="store_false", help="on a GPU, train without torch.compile")
    add("--ship", action="store_true", help="replace the weights in the package, if these validate better")
    add("--card", type=Path, metavar="FOLDER", help="only write README.md of this model folder again")
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return 0, or the exit code of an error after one line on stderr.

    Args:
        arguments: what follows the program's name; sys.argv by default.
    """
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        run(parser().parse_args(arguments))
    except NextframeError as error:
        sys.stderr.write(f"nextframe: {' '.join(str(error).split())}\n")
        return error.exit_code
    return 0


def run(words: argparse.Namespace) -> None:
    """Do what the words ask for: write a card, or train and perhaps ship; `--ship` alone only ships what OUT holds."""
    plan, out = PLANS.get(words.name), words.out or Path("runs") / f"weights-{words.name}"
    if words.card is not None:
        write_card(plan, words.card)
        return
    budget = words.minutes is not None or words.steps is not None
    if budget or not words.ship:
        minutes = words.minutes if budget else MINUTES
        rest = {name: getattr(words, name) for name in ("listed", "start", "lr", "seed", "device", "compile", "steps")}
        train_weights(plan, Asked(words.name, out, words.data, minutes, **rest))
    if words.ship:
        ship(out, SHIPPED / words.name)


if __name__ == "__main__":
    sys.exit(main())
