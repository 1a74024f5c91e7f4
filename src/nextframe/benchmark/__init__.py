"""Many models on one fixed task, and the leaderboard of the results."""

from nextframe.benchmark.entries import budget_of, default_names
from nextframe.benchmark.leaderboard import write_leaderboard
from nextframe.benchmark.page import as_markdown
from nextframe.benchmark.real.result import measure_videos
from nextframe.benchmark.real.task import RealConfig, VideoTask
from nextframe.benchmark.row import BenchmarkRow, find_rows, read_row
from nextframe.benchmark.run import benchmark
from nextframe.benchmark.share import Share, take_share
from nextframe.benchmark.speed.measure import measure_speed
from nextframe.benchmark.speed.task import SpeedConfig, SpeedTask
from nextframe.benchmark.tasks import TASKS, BenchmarkTask
from nextframe.benchmark.verify import verify

__all__ = [
    "TASKS",
    "BenchmarkRow",
    "BenchmarkTask",
    "RealConfig",
    "Share",
    "SpeedConfig",
    "SpeedTask",
    "VideoTask",
    "as_markdown",
    "benchmark",
    "budget_of",
    "default_names",
    "find_rows",
    "measure_speed",
    "measure_videos",
    "read_row",
    "take_share",
    "verify",
    "write_leaderboard",
]
