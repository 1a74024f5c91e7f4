"""The tasks that only measure, by name: our own on any videos, and those of four data sets as the field has them."""

from __future__ import annotations

from nextframe.benchmark.real import clips, measure, summary
from nextframe.benchmark.real.layouts import CITYSCAPES, DAVIS, KITTI, VIMEO, Layout
from nextframe.benchmark.real.task import VideoTask
from nextframe.core.clip import Task
from nextframe.metrics.pixel import CAP

FIELD = ("msssim", "lpips", "psnr", "ssim")

REAL_NEXT = VideoTask(
    name=clips.NAME,
    about="Five frames of real videos of any size from four (or real.given), longest side 256; nothing is trained; "
    "highest PSNR wins.",
    wants="videos, GIFs, folders of frames or folders of them, separated by commas",
    task=Task.forecast(4, 5),
    metrics=measure.OWN,
    open=clips.choose,
    means="sources",
    facts=clips.FACTS | {"psnr_at_most": CAP, "moved": measure.MOVED, "worse_by": summary.WORSE},
    settings=("exclude", "apart", "given", "adapt", "options"),
    compared=True,
)


def _of_field(name: str, about: str, layout: Layout, task: Task, count: int, overlap: bool = False) -> VideoTask:
    return VideoTask(
        name=name,
        about=about,
        wants=layout.wants,
        task=task,
        metrics=FIELD,
        open=layout.open,
        means="clips",
        facts={"size": list(layout.size), "psnr_at_most": CAP},
        overlap=overlap,
        clips=count,
    )


KITTI_NEXT = _of_field(
    "kitti-next",
    "Five frames from four of KITTI's four test drives, 256x832; nothing is trained; highest MS-SSIM wins.",
    KITTI,
    Task.forecast(4, 5),
    1337,
    overlap=True,
)
CITYSCAPES_NEXT = _of_field(
    "cityscapes-next",
    "Frames 5 to 9 from 1 to 4 of each sequence of Cityscapes val, 512x1024; nothing is trained; highest MS-SSIM wins.",
    CITYSCAPES,
    Task.forecast(4, 5),
    500,
)
DAVIS_NEXT = _of_field(
    "davis-next",
    "Frames 5 to 9 from 1 to 4 of each video of DAVIS 2017 val, 480x896; nothing is trained; highest MS-SSIM wins.",
    DAVIS,
    Task.forecast(4, 5),
    30,
)
VIMEO_NEXT = _of_field(
    "vimeo-next",
    "The third frame of each test triplet of Vimeo-90K from two, 256x448; nothing is trained; highest MS-SSIM wins.",
    VIMEO,
    Task.forecast(2, 1),
    3782,
)
