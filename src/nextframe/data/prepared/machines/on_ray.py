"""Shards made by many processes of a Ray cluster: each makes the same bytes from its own look at the sources."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nextframe.core.cluster.spread import cluster, spread
from nextframe.core.errors import UserError
from nextframe.data.prepared.config import PrepareConfig
from nextframe.data.prepared.manifest import layout_of, read_manifest
from nextframe.data.prepared.sources import find_sources

if TYPE_CHECKING:
    from nextframe.data.prepared.prepare import Group


@dataclass(frozen=True)
class Order:
    """What is prepared and where, as every machine of the cluster must see it: paths on storage that all share."""

    path: str
    output: Path
    config: PrepareConfig
    root: str | None
    memory: int  # bytes of decoded frames that each process may hold


def made_on_cluster(
    address: str, order: Order, groups: Sequence[Group], workers: int | None
) -> Generator[int, None, None]:
    """Make the shards of `groups`; yield the clips of each group when they are made.

    Args:
        address: of the cluster, as `core.cluster.spread.cluster` takes it.
        order: of the clips.
        groups: what is missing.
        workers: processes; None: as many as the cluster has room for.

    Raises:
        UserError: no cluster, or one whose machines see other files.
    """
    with cluster(address, workers) as ray:
        yield from spread(ray, _maker, [order], groups, workers=workers)


def _maker(order: Order) -> Callable[[Any], int]:
    """Return, in a process of the cluster, the function that makes a group of shards."""
    from nextframe.data.prepared.prepare import Preparation

    if not order.output.is_dir():
        raise UserError(f"{order.output}: is not there on every machine of the cluster: give a folder that all share")
    manifest = read_manifest(order.output)
    contents, config = find_sources(order.path, order.root, order.config)
    work = Preparation(order.output, config, contents, order.memory)
    known = [(source["name"], source["frames"]) for source in manifest["sources"]]
    if known != [(member.name, member.index.frames) for member in contents.members]:
        raise UserError(f"{order.path}: is not the same on every machine of the cluster: give a folder that all share")
    layout = layout_of(manifest)
    return lambda group: work.make(group, layout)
