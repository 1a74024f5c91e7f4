"""The weights of `motion`: three fifths synthetic scenes, a fifth walks through Freedoom maps, a fifth real video."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from torch import nn

from nextframe.core.clip import Task
from nextframe.data import DataConfig
from nextframe.data.sets.scenes.clips import open_moving_scenes
from nextframe.models.contract import Predictor
from nextframe.models.motion import Motion
from nextframe.recipes.weights.feed import Sets
from nextframe.recipes.weights.material import Material
from nextframe.recipes.weights.measure import Clips, cut
from nextframe.recipes.weights.plans import Pace, Plan
from nextframe.recipes.weights.videos import VideoClips, read_stills, read_videos

CONTEXT, HORIZON = 3, 3
JUDGED = Task.forecast(4, 3)  # with as many context frames as real-next gives
VIDEOS = ("walks", "real")
STILLS = "stills"


class MotionData:
    """Scenes made of the stills, and clips of the videos, in memory."""

    def __init__(self, material: Material, side: int) -> None:
        """Read every file of `material`; clips are squares of `side` pixels."""
        self.material, self.side = material, side
        stills = [read_stills(path) for path in material.training(STILLS)]
        self.stills = stills[0] if stills else None  # without: patterns, and two sample photographs
        self.videos = {kind: read_videos(material.training(kind)) for kind in VIDEOS}

    def sets(self, ahead: int) -> Sets:
        """Return the clip sets `scenes`, `walks` and `real`; without a video of a kind it has no set."""
        task = Task.forecast(CONTEXT, ahead)
        config = DataConfig(name="moving-scenes", context=CONTEXT, horizon=ahead, size=(self.side, self.side))
        scenes = open_moving_scenes(config, stills=self.stills)
        clips = {kind: VideoClips(kind, videos, task, self.side) for kind, videos in self.videos.items() if videos}
        return {"scenes": scenes, **clips}

    def validation(self) -> list[Clips]:
        """Return clips of the videos that are kept for validation."""
        paths = self.material.validation()
        return [cut(path.stem, video, JUDGED) for path, video in zip(paths, read_videos(paths), strict=True)]


def compiled(model: Predictor) -> Sequence[nn.Module]:
    """Return the parts that see the same shapes in every step: coarse motion and the refinements.

    Not the features' convolutions: torch compiles no module of its own, such as `nn.Sequential`, in place.
    """
    assert isinstance(model, Motion)
    return [model.coarse, *model.refine]


MOTION = Plan(
    model="motion",
    task=Task.forecast(CONTEXT, HORIZON),
    judged=JUDGED,
    listed=Path(__file__).with_name("motion.json"),
    turns=("scenes", "walks", "scenes", "real", "scenes"),
    paces={
        "cuda": Pace(40, 1, 192, scratch=8e-4, tuned=2e-4, further=2e-4, ema=0.998, validate_every=120),
        "cpu": Pace(4, 5, 160, scratch=8e-4, tuned=1e-5, further=5e-6, ema=0.98, validate_every=600),
    },
    open=MotionData,
    compiled=compiled,
    licence="CC-BY-4.0",
    data="moving scenes, Freedoom walks, free clips",
    sources=("intel-iot-devkit", "learning-area", "dom-examples"),
)
