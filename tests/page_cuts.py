"""How the commands of the pages are cut where they would take long: on fewer clips, with fewer steps and numbers.

Every command loses its --minutes and --steps, has small numbers in FEWER's places, and gets the words of FEW, CUTS and
SMALL instead: they change how long it takes, on how many clips and with how many numbers, not what it does. Trackers
that want other libraries are run by tests/test_track.py.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import pairwise

from nextframe.data.sets.motion_digits import open_motion_digits
from nextframe.data.sets.moving_digits import open_moving_digits

FEWER: dict[str, Callable[[str], str]] = {  # by the option before it: what a word becomes
    "-n": lambda frames: frames if len(frames) < 3 else "12",
    "--adapt": lambda seconds: "1",
    "--trials": lambda trials: str(int(trials) // 10 + 1),  # 3 of 20, and more where a sweep goes on
    "--digits": lambda digits: "embedded" if digits == "mnist" else digits,  # needs no network
}
CUTS = {
    "train": "--set training.steps=4 --set training.batch=2 --set training.val_clips=2 "
    "--set training.track=tensorboard",
    "evaluate": "--clips 2",
    "benchmark": "--steps 2",
    "prepare": "--clips 8 --held-out 4",
    "transfer": "--per-class 1 --draws 1 --set transfer.classifier.steps=2 --set transfer.classifier.batch=2",
    "push": "--clips 2",
    "latent": "--gifs 2",
    "quickstart": "--minutes 0.01",
    "sweep": "--set training.steps=2 --set training.batch=2 --set training.val_clips=2",
}
FEW = {  # where a command does not say how many or which
    "benchmark": ["--models", "copy-last,conv2d"],
    "benchmark speed": ["--models", "flow"],
    "sweep": ["--trials", "3"],
}
SMALL = {  # by model or recipe: what makes a large network small
    "keras-convlstm": "--set model.hidden=[4] --set model.kernels=[3]",
    "composite-lstm": "--set model.hidden=[8]",
    "srivastava-mnist": "--set model.hidden=[8] --set data.options.digits=embedded",  # MNIST is a download
    "ddpae-moving-mnist": "--set model.width=2 --set data.options.digits=embedded",
    "latent-lstm": "--set model.hidden=[8] --set model.cache_clips=8",
    "mnist-latent": "--set model.hidden=[8] --set model.cache_clips=8",
    "film-latent": "--set model.hidden=[8] --set model.cache_clips=8",
}
FEW_SOURCES = ["--set", "real.exclude=[clip2,clip3,clip4,clip5]"]  # of real-next, which trains nothing: two of six
LITTLE_SPEED = ["--set", "speed.rounds=1", "--set", "speed.batch=1", "--set", "speed.size=[32,32]"]
FEW_CLIPS = {  # the generated data sets: how many clips they hold out where nothing else is said
    "moving-digits": (open_moving_digits, {"val_clips": 4, "test_clips": 4}),
    "motion-digits": (open_motion_digits, {"train_videos": 16, "val_videos": 16, "test_videos": 16}),
}
SHORT_PYTHON = {
    r"\b(minutes|steps)=[\d.]+": "steps=2, batch=2",
    r'"minutes": \d+': '"steps": 2',
}


def shortened(words: list[str]) -> list[str]:
    """Return the words of a `nextframe` command with its time cut as said above, and digits that need no network."""
    kept = re.sub(r"\0--(minutes|steps)\0[\d.]+", "", "\0".join(["", *words])).split("\0")[1:]
    kept = [FEWER[option](word) if option in FEWER else word for option, word in pairwise(["", *kept])]
    kept = [word.replace("options.digits=mnist", "options.digits=embedded") for word in kept]
    verb, what = (*kept, "")[:2]
    if kept == ["benchmark"]:
        return kept
    if (verb, what) == ("benchmark", "real-next"):
        return [*kept, *FEW_SOURCES]
    if (verb, what) == ("benchmark", "speed"):
        return [*with_few(kept, "benchmark speed"), *LITTLE_SPEED]
    small = SMALL.get(what, "") if verb == "train" else ""
    return [*with_few(kept, verb), *CUTS.get(verb, "").split(), *small.split()]


def with_few(words: list[str], command: str) -> list[str]:
    """Return the words, with those of FEW where the command has no such option."""
    few = FEW.get(command, [])
    return words if few and few[0] in words else [*words, *few]
