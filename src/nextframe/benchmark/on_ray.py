"""Rows made by processes of a Ray cluster, each a row at a time; what is done already is kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nextframe.core.cluster.spread import cluster, spread
from nextframe.core.plugins import loaded_files

if TYPE_CHECKING:
    from nextframe.benchmark.entries import Budget
    from nextframe.benchmark.tasks import BenchmarkTask
    from nextframe.models.contract import Predictor


@dataclass(frozen=True)
class Order:
    """What the rows are of, as every machine of the cluster must see it: paths on storage that all share."""

    task: BenchmarkTask
    output: Path
    data: str | None
    models: Sequence[str | Predictor] | None
    budget: Budget
    device: str
    command: str | None


def rows_on_cluster(address: str, order: Order, names: Sequence[str], workers: int | None) -> list[Path]:
    """Make the rows, and return their files in the order of `names`.

    A process has a GPU to itself where the cluster has GPUs and `order.device` is not the processor.

    Args:
        address: of the cluster, as `core.cluster.spread.cluster` takes it.
        order: of the rows.
        names: of the rows' entries.
        workers: processes; None: as many as the cluster has room for.

    Raises:
        UserError: no cluster, or what `benchmark` refuses.
    """
    with cluster(address, workers) as ray:
        gpu = order.device != "cpu" and ray.cluster_resources().get("GPU", 0) > 0
        needs = {"num_cpus": 1.0, "num_gpus": float(gpu)}
        made = spread(ray, _maker, [order], names, workers=workers, needs=needs, plugins=loaded_files())
        found = {path.stem: path for path in made}
    return [found[name] for name in names]


def _maker(order: Order) -> Callable[[str], Path]:
    """Return, in a process of the cluster, the function that makes a row."""
    from nextframe.benchmark.run import make_row, prepare

    setting, entries = prepare(
        order.task, order.output, order.data, order.models, order.budget, order.device, False, order.command
    )
    known = {entry.name: entry for entry in entries}
    return lambda name: make_row(setting, known[name])
