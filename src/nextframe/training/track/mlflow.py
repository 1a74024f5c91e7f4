"""MLflow: https://mlflow.org/docs. Into the run folder, or where MLFLOW_TRACKING_URI says."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from nextframe.training.track.registry import Tracked

MOST_PARAMS = 100  # of one request
LIMITS = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_HTTP_REQUEST_TIMEOUT": "15"}  # a run does not wait for long


class MLflow:
    """A run of experiment `nextframe` (or MLFLOW_EXPERIMENT_NAME), called like the run folder.

    In the run folder it is mlflow/mlflow.db, a SQLite file: version 3 takes no folder mlruns/ any more.
    """

    endings = (".png", ".gif")

    def __init__(self, run: Tracked) -> None:
        for name, value in LIMITS.items():
            os.environ.setdefault(name, value)
        from mlflow.tracking import MlflowClient

        for name in ("mlflow", "alembic"):  # they tell of each table of a new database
            logging.getLogger(name).setLevel(logging.WARNING)
        uri, files = _place(run.folder)
        self._client = MlflowClient(tracking_uri=uri)
        self.id = run.id or self._new(run, files)
        if run.id:
            self._client.update_run(self.id, status="RUNNING")
        self._there = {name: self._last(name) for name in self._client.get_run(self.id).data.metrics}
        self.where = f"run {self.id}; mlflow ui --backend-store-uri {uri}"

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Log numbers at `step`; those that a stopped run has logged already stay as they are."""
        from mlflow.entities import Metric

        now = time.time_ns() // 1_000_000
        fresh = {name: value for name, value in values.items() if step > self._there.get(name, -1)}
        self._client.log_batch(self.id, metrics=[Metric(name, value, now, step) for name, value in fresh.items()])

    def media(self, step: int, name: str, path: Path) -> None:
        """Add the file to the artifacts of the run, in the folder `name`."""
        self._client.log_artifact(self.id, str(path), name)

    def close(self, scores: Mapping[str, float], finished: bool) -> None:
        """Log the scores at the step that they are of, and end the run."""
        self.log(int(scores.get("kept/step", 0)), scores)
        self._client.set_terminated(self.id, "FINISHED" if finished else "KILLED")

    def _new(self, run: Tracked, files: str | None) -> str:
        from mlflow.entities import Param

        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", "nextframe")
        found = self._client.get_experiment_by_name(name)
        experiment = found.experiment_id if found else self._client.create_experiment(name, artifact_location=files)
        made: str = self._client.create_run(experiment, run_name=run.name, tags={"folder": run.name}).info.run_id
        params = [Param(key, value) for key, value in _flat(run.settings)]
        for start in range(0, len(params), MOST_PARAMS):
            self._client.log_batch(made, params=params[start : start + MOST_PARAMS])
        return made

    def _last(self, name: str) -> int:
        return max(int(metric.step) for metric in self._client.get_metric_history(self.id, name))


def _place(folder: Path) -> tuple[str, str | None]:
    """Return the address of the store, and where the files of a new experiment go; None: the store knows."""
    given = os.environ.get("MLFLOW_TRACKING_URI")
    if given:
        return given, None
    own = folder.resolve() / "mlflow"
    own.mkdir(exist_ok=True)
    return f"sqlite:///{(own / 'mlflow.db').as_posix()}", (own / "artifacts").as_uri()


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield nested settings by their dotted names."""
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", str(value)
