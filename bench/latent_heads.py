"""Four losses of the latent LSTM at one equal budget, against copying the last frame; and what a lost state costs.

From one trained autoencoder, an LSTM is trained for each head (squared error, KL, differences, mixture of Gaussians)
with the same clips, steps and seed, and measured closed loop on the test split. The mixture draws ten futures a clip,
at temperature 1 and at the one of TEMPERATURES whose best of ten is best on val.
`(state lost)` rows are the same weights, sampled as the public code does it: the state starts again at every frame.

Writes results/latent-heads.json, and images next to the runs: curves.png and lost-state.png. Runs that are there
already are not trained again.
"""

from __future__ import annotations

import argparse
import json
import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from nextframe.checkpoint import create_model, load_model
from nextframe.data import DataConfig, open_data
from nextframe.evaluation import Evaluation, evaluate
from nextframe.evaluation.run_facts import command_line, run_facts
from nextframe.evaluation.several import sample_names
from nextframe.media.writer import write_video
from nextframe.models.latent_lstm import LatentLSTM
from nextframe.prediction.shown.panels import comparison_strip
from nextframe.recipes import load_recipe
from nextframe.training import override, read_recipe, train

LOG = logging.getLogger(__name__)
ROOT = Path(__file__).resolve().parents[1]
# the rate of each: squared errors through twenty fed-back frames leave all bounds at 0.02 (gradients of 1e7)
HEADS = {"mse": 0.005, "kl": 0.02, "differences": 0.005, "mixture": 0.02}
METRICS = ("mse", "mae", "psnr", "ssim")
FUTURES = 10
TEMPERATURES = (1.0, 0.5, 0.25, 0.1, 0.03)
VAL_CLIPS = 128  # to choose a temperature on


def trained(head: str, encoder: Path, folder: Path, steps: int, batch: int, cached: int) -> LatentLSTM:
    """Return the LSTM with `head` on the latents of run `encoder`, trained now or before."""
    if not (folder / "model").exists():
        own = read_recipe(encoder)
        settings = {
            "model.head": head,
            "model.lr": HEADS[head],
            "model.autoencoder": {"name": own.model.name, "fields": dict(own.model.fields)},
            "model.cache_clips": cached,
            "training.stage_from": {"autoencoder": str(encoder)},
            "training.shares": {},
            "training.steps": steps,
            "training.batch": batch,
            "training.val_clips": 32,
            "training.val_every": steps,
            "training.checkpoint_every": 100,
        }
        recipe = override(load_recipe("mnist-latent"), settings).model_copy(update={"data": own.data})
        train(recipe, folder, resume=folder.exists(), show=False)
    model = load_model(folder)
    assert isinstance(model, LatentLSTM)
    return model


def changed(model: LatentLSTM, **fields: Any) -> LatentLSTM:
    """Return `model` with other settings of its sampling; its weights are shared."""
    model.config = model.config.model_copy(update=fields)
    return model


def with_lost_state(model: LatentLSTM) -> LatentLSTM:
    """Return a copy of `model` that samples as the public code does: its state is reset at every frame."""
    fields = model.config.model_dump() | {"weight_std": None, "gate_clip": None}
    lost = create_model("tencia-latent-lstm", **fields)
    lost.load_state_dict(model.state_dict())
    lost.trained = model.trained
    assert isinstance(lost, LatentLSTM)
    return lost.eval()


def evaluations(
    models: dict[str, LatentLSTM], data: DataConfig, clips: int, metrics: Sequence[str]
) -> list[Evaluation]:
    """Return what every head, every future of the mixture, and the lost state come to; baselines beside the first."""
    found: list[Evaluation] = []

    def measure(model: LatentLSTM, name: str, samples: int = 1) -> None:
        beside = () if found else ("copy-last", "linear", "zero")
        asked = {"metrics": metrics, "baselines": beside, "clips": clips, "batch": 32}
        found.append(evaluate(model, data, "test", name=name, samples=samples, **asked))

    for head, model in models.items():
        if head == "mixture":
            measure(changed(model, temperature=0.0), "mixture, likeliest")
            measure(changed(model, temperature=1.0), "mixture", FUTURES)
            chosen = best_temperature(model, data)
            measure(changed(model, temperature=chosen), f"mixture, temperature {chosen:g}", FUTURES)
        else:
            measure(model, head)
            measure(with_lost_state(model), f"{head} (state lost)")
    return found


def best_temperature(model: LatentLSTM, data: DataConfig) -> float:
    """Return the temperature of `TEMPERATURES` at which the best of several futures has the least MSE, on val."""
    errors = {}
    for temperature in TEMPERATURES:
        drawn = changed(model, temperature=temperature)
        found = evaluate(
            drawn, data, "val", metrics=("mse",), baselines=(), clips=VAL_CLIPS, batch=32, samples=FUTURES, name="m"
        )
        errors[temperature] = next(row.mean for row in found.rows if row.model == sample_names("m", FUTURES)[0])
    LOG.info("best of %d on val, by temperature: %s", FUTURES, errors)
    return min(errors, key=lambda temperature: errors[temperature])


def below_copying(rows: list[dict[str, Any]]) -> dict[str, int | None]:
    """Return the first free frame at which a model's MSE is no better than copying; None: it always is."""
    curves = {row["model"]: row["per_step"] for row in rows if row["metric"] == "mse"}
    copied = curves["copy-last"]
    worse = {
        name: [step for step, (own, other) in enumerate(zip(curve, copied, strict=True), start=1) if own >= other]
        for name, curve in curves.items()
        if name not in ("copy-last", "zero", "linear")
    }
    return {name: steps[0] if steps else None for name, steps in worse.items()}


def draw_curves(rows: list[dict[str, Any]], path: Path) -> None:
    """Draw the MSE of every model at each free frame."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(10, 5), sharey=True, constrained_layout=True)
    for row in rows:
        if row["metric"] != "mse" or row["model"] in ("zero", "linear"):
            continue
        steps = range(1, len(row["per_step"]) + 1)
        lost = "lost" in row["model"]
        style = {"color": "black", "linestyle": ":"} if row["model"] == "copy-last" else {}
        if not lost:
            axes[0].plot(steps, row["per_step"], label=row["model"], **style)
        if lost or row["model"] in ("copy-last", "kl", "differences", "mse"):
            axes[1].plot(steps, row["per_step"], label=row["model"], **(style or {"linestyle": "--" if lost else "-"}))
    for axis, title in zip(axes, ("heads", "state carried and lost"), strict=True):
        axis.set(title=title, xlabel="free frame", ylabel="MSE", ylim=(0, None))
        axis.legend(fontsize=7, ncols=2, loc="upper center", bbox_to_anchor=(0.5, -0.15))
    figure.savefig(path, dpi=100)


def draw_lost_state(model: LatentLSTM, data: DataConfig, path: Path) -> None:
    """Draw the same clip predicted with the state carried and with the state lost."""
    import numpy as np

    clip = open_data(data).read("test", np.array([0, 1])).to("cpu")
    carried = model.predict(clip.context, clip.horizon)
    lost = with_lost_state(model).predict(clip.context, clip.horizon)
    strips = [
        comparison_strip(None, clip.target[n], {"carried": carried[n], "state lost": lost[n]}) for n in range(len(clip))
    ]
    write_video(path, torch.cat(strips, dim=1).unsqueeze(0), fps=1.0)


def main() -> None:
    """Train, measure, draw and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("encoder", type=Path, help="a run folder of an autoencoder")
    parser.add_argument("--steps", type=int, default=600, help="of each LSTM")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--cached", type=int, default=2000, help="training clips whose latents are kept")
    parser.add_argument("--clips", type=int, default=256, help="of the test split")
    parser.add_argument("--runs", type=Path, default=Path("runs/latent-heads"))
    parser.add_argument("--heads", nargs="+", choices=list(HEADS), default=list(HEADS))
    parser.add_argument("--metrics", nargs="+", default=METRICS)
    parser.add_argument("--only", choices=list(HEADS), help="train this one and stop")
    parser.add_argument("--out", type=Path, default=ROOT / "results" / "latent-heads.json")
    options = parser.parse_args()
    started = time.monotonic()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    chosen = [options.only] if options.only else options.heads
    budget = (options.steps, options.batch, options.cached)
    models = {head: trained(head, options.encoder, options.runs / head, *budget) for head in chosen}
    if options.only:
        return
    data = read_recipe(options.encoder).data
    found = evaluations(models, data, options.clips, options.metrics)
    rows = [row for one in found for row in one.as_json()["rows"]]
    result = {
        "rows": rows,
        "first free frame that is no better than copying": below_copying(rows),
        "notes": [note for one in found for note in one.notes],
        "budget": {"steps of each LSTM": options.steps, "clips a step": options.batch, "cached clips": options.cached},
        "run": run_facts("python bench/" + command_line(), 0, started),
    }
    options.out.write_text(json.dumps(result, indent=1) + "\n")
    draw_curves(rows, options.runs / "curves.png")
    if "differences" in models:
        draw_lost_state(models["differences"], data, options.runs / "lost-state.png")


if __name__ == "__main__":
    main()
