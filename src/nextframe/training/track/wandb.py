"""Weights & Biases: https://docs.wandb.ai. WANDB_MODE, WANDB_PROJECT, WANDB_DIR and its other variables are kept to."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from nextframe.core.errors import UserError
from nextframe.training.track.registry import Tracked

OFFLINE = "WANDB_MODE=offline logs into the run folder, without an account"


class WeightsAndBiases:
    """A run of project `nextframe`, called like the run folder; offline, what is to be sent stands in wandb/."""

    endings = (".png", ".gif")

    def __init__(self, run: Tracked) -> None:
        import wandb

        try:
            self._run = wandb.init(
                project=os.environ.get("WANDB_PROJECT", "nextframe"),
                name=os.environ.get("WANDB_NAME", run.name),
                dir=os.environ.get("WANDB_DIR", str(run.folder)),
                id=run.id or None,
                resume="allow" if run.id else None,
                settings=wandb.Settings(silent=True, console="off"),
            )
        except (wandb.Error, OSError) as error:
            reason = str(error).strip().splitlines()[0]
            raise UserError(f"training.track=wandb: it cannot be opened ({reason}); {OFFLINE}") from error
        self.id = str(self._run.id)
        self._from = int(self._run.step)  # of a run that is continued online: what is there already
        self._run.config.update({**run.settings, "folder": run.name}, allow_val_change=True)
        sending = f"wandb sync {self._run.settings.sync_dir} sends it"
        self.where = sending if self._run.offline else str(self._run.url)

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Log numbers at `step`."""
        if step >= self._from:
            self._run.log(dict(values), step=step)

    def media(self, step: int, name: str, path: Path) -> None:
        """Log the file as an image, or as a video if it moves."""
        import wandb

        if step >= self._from:
            moves = path.suffix == ".gif"
            shown = wandb.Video(str(path), format="gif") if moves else wandb.Image(str(path))
            self._run.log({f"{name}-video" if moves else name: shown}, step=step)

    def close(self, scores: Mapping[str, float], finished: bool) -> None:
        """Write the scores into the summary and end the run."""
        self._run.summary.update(dict(scores))
        self._run.finish(exit_code=0 if finished else 1)
