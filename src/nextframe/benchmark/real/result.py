"""Measures models on real videos, and writes what was found as JSON and as a Markdown table."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nextframe.benchmark.entries import entry_name
from nextframe.benchmark.real import clips as rules
from nextframe.benchmark.real.clips import NAME, TASK, Chosen, RealConfig, choose, cut, paths_named
from nextframe.benchmark.real.measure import CAP, MOVED, measure_clip
from nextframe.benchmark.real.summary import WORSE, Measured, row
from nextframe.benchmark.real.table import as_markdown
from nextframe.benchmark.run import exact_products
from nextframe.checkpoint import resolve_model
from nextframe.core.device import resolve_device
from nextframe.core.errors import UserError
from nextframe.core.files.whole_file import write_whole
from nextframe.core.progress import ProgressBar
from nextframe.evaluation import run_facts
from nextframe.models.contract import Predictor, check_task

LOG = logging.getLogger(__name__)
ABOUT = "Five frames of real videos of any size from four, longest side 256; nothing is trained; highest PSNR wins."


@dataclass(frozen=True)
class RealResult:
    """What was found, as plain values: `task`, `data`, `rows`, `run`."""

    values: dict[str, Any]

    def write(self, output: Path) -> list[Path]:
        """Write OUTPUT.json and OUTPUT.md, each whole or not at all, and return both."""
        paths = [output.with_name(f"{output.name}{ending}") for ending in (".json", ".md")]
        write_whole(paths[0], json.dumps(self.values, indent=1, allow_nan=False) + "\n")
        write_whole(paths[1], as_markdown(self.values))
        return paths


def measure_real(
    models: Sequence[str | Predictor],
    data: str,
    *,
    rivals: Sequence[str] = (),
    config: RealConfig | None = None,
    device: str = "auto",
    show: bool = True,
    command: str | None = None,
) -> RealResult:
    """Measure models on the videos at `data`; nothing is trained.

    Args:
        models: baselines' names, names of models that ship, run or model folders, or models.
        data: a path, or several separated by commas: videos, animations, folders of images.
        rivals: models that each other one is compared with; they get rows too. Gains of the table are over the first.
        config: which sources are excluded, and which files are encodings of one video.
        device: auto, cpu, cuda or mps.
        show: progress on a terminal, log lines elsewhere.
        command: what was typed, for the record; None: this process's command line.

    Raises:
        UserError: an unknown model, one that does not take such clips, two of one name, or no clips.
    """
    started, config, where = time.monotonic(), config or RealConfig(), resolve_device(device)
    predictors = _predictors([*(rival for rival in rivals if rival not in models), *models], where)
    chosen = choose(data, config)
    found: list[dict[str, Any]] = []
    measured: list[Measured] = []
    with ProgressBar(NAME, show=show, unit="source") as bar, exact_products():
        for done, source in enumerate(chosen.sources, 1):
            _measure_source(source, chosen, predictors, where, found, measured)
            bar.update(done / len(chosen.sources))
            LOG.info("%s: %d of %d sources, %s", NAME, done, len(chosen.sources), source)
    if not measured:
        raise UserError(f"{data}: no clip can be measured: {'; '.join(map(': '.join, chosen.skipped.items()))}")
    return RealResult(
        {
            "task": definition(),
            "rivals": list(rivals),
            "data": _data_facts(data, config, chosen, found),
            "rows": [
                row(name, measured, rivals) | {"parameters": sum(p.numel() for p in model.parameters())}
                for name, model in predictors.items()
            ],
            "run": run_facts(command, rules.SEED, started),
        }
    )


def definition() -> dict[str, Any]:
    """Return what decides a figure besides the videos, as plain values."""
    return {
        "name": NAME,
        "about": ABOUT,
        "context": TASK.context,
        "horizon": TASK.horizon,
        "longest_side": rules.SIDE,
        "first_frames": rules.FIRST_FRAMES,
        "clips_per_file": rules.STARTS,
        "cut": rules.JUMP,
        "near_still": rules.STILL,
        "psnr_at_most": CAP,
        "moved": MOVED,
        "worse_by": WORSE,
    }


def _predictors(models: Sequence[str | Predictor], device: str) -> dict[str, Predictor]:
    found: dict[str, Predictor] = {}
    given: dict[str, str | Predictor] = {}
    for spec in models:
        name = row_name(spec)
        if given.setdefault(name, spec) != spec:
            raise UserError(f"two models are both called '{name}'; rename one of them")
        if name not in found:
            found[name] = resolve_model(spec)
            check_task(found[name], TASK, name)
            found[name] = found[name].to(device).eval()
    return found


def row_name(spec: str | Predictor) -> str:
    """Return what the row of a model is called: its name, or that of its folder; of RUN/model, that of the run."""
    name = entry_name(spec)
    path = Path(spec) if isinstance(spec, str) else Path()
    return path.absolute().parent.name if name == "model" and path.is_dir() else name


def _measure_source(
    source: str,
    chosen: Chosen,
    predictors: dict[str, Predictor],
    device: str,
    found: list[dict[str, Any]],
    measured: list[Measured],
) -> None:
    """Add what every model reaches on each clip of `source` to `measured`, and the clip's facts to `found`."""
    for file in chosen.sources[source]:
        for clip in cut(source, file, chosen.skipped):
            size = [clip.frames.shape[-1], clip.frames.shape[-2]]
            facts = {"source": source, "file": clip.file, "start": clip.start, "size": size}
            found.append(facts | {"moves": clip.motion, "near_still": clip.near_still})
            for name, model in predictors.items():
                values = measure_clip(model, clip, device)
                measured.append(Measured(name, source, clip.motion, clip.near_still, values))


def _data_facts(data: str, config: RealConfig, chosen: Chosen, found: list[dict[str, Any]]) -> dict[str, Any]:
    ranked = [clip for clip in found if not clip["near_still"]]
    return {
        "names": paths_named(data),
        "settings": config.model_dump(mode="json"),
        "sources": len({clip["source"] for clip in ranked}),
        "clips": len(ranked),
        "near_still_clips": len(found) - len(ranked),
        "excluded": sorted(chosen.excluded),
        "skipped": chosen.skipped,
        "measured": found,
    }
