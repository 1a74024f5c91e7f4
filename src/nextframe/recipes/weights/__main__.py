"""`python -m nextframe.recipes.weights NAME`: train the weights of a name, write their card, put them in place."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from nextframe.checkpoint.weights import SHIPPED
from nextframe.core.errors import NextframeError, UserError
from nextframe.recipes.weights.asked import SCRATCH, SHIPS, Asked
from nextframe.recipes.weights.by_recipe.plans import RecipePlan
from nextframe.recipes.weights.card import ship, write_card
from nextframe.recipes.weights.plans import PLANS, Plan
from nextframe.recipes.weights.work import train_weights

MINUTES = 8.0
USUAL_DATA = Path("../shared/motion/data")
ONLY_OWN = ("listed", "start", "card")  # of plans of their own alone


def parser() -> argparse.ArgumentParser:
    """Return the options of the command."""
    found = argparse.ArgumentParser(prog="python -m nextframe.recipes.weights", description=__doc__)
    add = found.add_argument
    add("name", help=f"which weights: {', '.join(PLANS)}")
    add("--minutes", type=float, help=f"of training, compiling included  [default: {MINUTES:g}]")
    add("--steps", type=int, help="instead of minutes")
    add("--out", type=Path, help="a new folder, or that of a call to go on from  [default: runs/weights-NAME]")
    add("--data", type=Path, help=f"the material  [default: MOTION_DATA, else {USUAL_DATA}; the digits of a recipe]")
    add("--list", type=Path, dest="listed", help="of other files than the package's: JSON as motion.json")
    add("--start", help=f"of motion: {SCRATCH}, {SHIPS} or a folder  [default: {SCRATCH} on a GPU, else {SHIPS}]")
    add("--lr", type=float, help="the highest learning rate")
    add("--seed", type=int, default=0, help="the random seed")
    add("--device", default="auto", help="auto, cpu, cuda or mps")
    add("--no-compile", dest="compile", action="store_false", help="on a GPU, train without torch.compile")
    add("--ship", action="store_true", help="put them in the package or weights/; motion's only if better")
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
    except KeyboardInterrupt as error:  # the training has written a checkpoint
        sys.stderr.write("nextframe: interrupted; the same command goes on\n")
        return getattr(error, "exit_code", 130)
    return 0


def run(words: argparse.Namespace) -> None:
    """Do what the words ask for: write a card, or train and perhaps ship; `--ship` alone only ships what OUT holds."""
    plan, out = PLANS.get(words.name), words.out or Path("runs") / f"weights-{words.name}"
    budget = words.minutes is not None or words.steps is not None
    usual = Path(os.environ.get("MOTION_DATA") or USUAL_DATA)
    rest = {name: getattr(words, name) for name in ("listed", "start", "lr", "seed", "device", "compile", "steps")}
    asked = Asked(words.name, out, words.data or usual, words.minutes if budget else MINUTES, **rest)
    if isinstance(plan, RecipePlan):
        _run_recipe(plan, asked, words, trains=budget or not words.ship)
    else:
        _run_own(plan, asked, words, trains=budget or not words.ship)


def _run_own(plan: Plan, asked: Asked, words: argparse.Namespace, trains: bool) -> None:
    if words.card is not None:
        write_card(plan, words.card)
        return
    if trains:
        train_weights(plan, asked)
    if words.ship:
        ship(asked.out, SHIPPED / asked.name)


def _run_recipe(plan: RecipePlan, asked: Asked, words: argparse.Namespace, trains: bool) -> None:
    # imported here: they need lightning and av, which the weights of motion do without
    from nextframe.recipes.weights.by_recipe.work import ship_recipe_weights, train_recipe_weights

    for name in ONLY_OWN:
        if getattr(words, name) is not None:
            option = "list" if name == "listed" else name
            raise UserError(f"--{option} is for motion: {asked.name} is trained as the recipe '{plan.recipe}'")
    if trains:
        train_recipe_weights(plan, asked, words.data or plan.material.usual(asked.data))
    if words.ship:
        ship_recipe_weights(plan, asked.out, asked.name)


if __name__ == "__main__":
    sys.exit(main())
