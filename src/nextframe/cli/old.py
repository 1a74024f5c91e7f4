"""Spellings of the last release, each with the new one: they work for one more release, with a warning."""

from __future__ import annotations

import json
import logging
import re

LOG = logging.getLogger(__name__)
PLAIN = re.compile(r"[\w./~@+-][\w./~@+,-]*")  # what YAML reads as it is written

# What an old option is now: "section.field" takes the option's value, "section.field=value" stands for a flag, and
# "section.field." is completed by the option's KEY=VALUE.
_DATA = {"--stride": "data.stride", "--digits": "data.options.digits"}
_KIND = {"--as": "data.kind"}
OLD: dict[str, dict[str, str]] = {
    "data": _DATA,
    "latent": _DATA,
    "train": {
        **_DATA,
        **_KIND,
        "--log-every": "training.log_every",
        "--val-every": "training.val_every",
        "--checkpoint-every": "training.checkpoint_every",
        "--precision": "training.precision",
        "--workers": "training.workers",
        "--stage-from": "training.stage_from.",
        "--devices": "run.devices",
        "--report": "run.report=true",
        "--no-report": "run.report=false",
        "--json": "run.json_file",
    },
    "evaluate": {
        **_DATA,
        **_KIND,
        "--batch": "evaluate.batch",
        "--compat": "evaluate.compat",
        "--temperature": "options.temperature",
    },
    "predict": {
        "--stride": "predict.stride",
        "--one-step": "predict.one_step=true",
        "--with-context": "predict.with_context=true",
        "--tile": "predict.tile",
        "--overlap": "predict.overlap",
        "--temperature": "options.temperature",
    },
    "transfer": {
        "--stride": "data.stride",
        "--window": "transfer.window",
        "--window-stride": "transfer.stride",
        "--steps": "transfer.classifier.steps",
        "--batch": "transfer.classifier.batch",
        "--lr": "transfer.classifier.lr",
        "--dropout": "transfer.classifier.dropout",
        "--precision": "transfer.classifier.precision",
    },
    "prepare": {
        "--stride": "prepare.stride",
        "--keep": "prepare.keep",
        "--tries": "prepare.tries",
        "--color": "prepare.color",
        "--as": "prepare.kind",
        "--max-flow": "prepare.max_flow",
        "--across-cuts": "prepare.across_cuts=true",
        "--val-share": "prepare.val_share",
        "--test-share": "prepare.test_share",
        "--shard": "prepare.shard",
        "--workers": "run.workers",
        "--memory": "run.memory",
    },
    "extract-features": {
        "--stride": "data.stride",
        "--val-share": "data.options.val_share",
        "--test-share": "data.options.test_share",
    },
    "app": {
        "--upload-mb": "limits.upload_mb",
        "--pixels": "limits.pixels",
        "--clip-frames": "limits.clip_frames",
        "--decode-seconds": "limits.decode_seconds",
        "--predict-seconds": "limits.predict_seconds",
        "--horizon": "limits.horizon",
        "--side": "limits.side",
        "--queue": "limits.queue",
        "--workers": "limits.workers",
        "--keep-minutes": "limits.keep_minutes",
        "--temporary-mb": "limits.temporary_mb",
    },
}


def renew(verb: str, words: list[str]) -> tuple[list[str], str | None]:
    """Return `words` after `verb` with old options replaced, warning of each; then an option that lacks its value."""
    old, left = OLD.get(verb, {}), list(words)
    renewed: list[str] = []
    settings: list[str] = []
    while left:
        word = left.pop(0)
        if word == "--":
            return [*settings, *renewed, word, *left], None
        option, equals, value = word.partition("=")
        if option not in old:
            renewed.append(word)
            continue
        if "=" not in old[option] and not equals:
            if not left:
                return words, option
            value = left.pop(0)
        new = _new_words(old[option], value)
        LOG.warning("%s is now %s", option, " ".join(new))
        settings += new
    return [*settings, *renewed], None


def renew_verb(words: list[str]) -> list[str]:
    """Return `words`, where `prepare --percepts BACKBONE` is `extract-features --backbone BACKBONE`."""
    renewed = [re.sub(r"^--percepts(?==|$)", "--backbone", word) for word in words]
    if words[:1] != ["prepare"] or renewed == words:
        return words
    LOG.warning("nextframe prepare --percepts is now nextframe extract-features --backbone")
    return ["extract-features", *renewed[1:]]


def _new_words(target: str, value: str) -> list[str]:
    if "=" in target:
        return ["--set", target]
    if target.endswith("."):
        key, _, value = value.partition("=")
        target += key
    return ["--set", f"{target}={value if PLAIN.fullmatch(value) else json.dumps(value)}"]
