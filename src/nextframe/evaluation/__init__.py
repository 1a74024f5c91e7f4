"""Evaluation of a model on a split: a table, JSON and an HTML report."""

from nextframe.evaluation.evaluate import clip_indices, clips_for, evaluate
from nextframe.evaluation.report import write_report
from nextframe.evaluation.result import Evaluation, Example, Row
from nextframe.evaluation.run_facts import run_facts
from nextframe.evaluation.scores import DEFAULT_METRICS
from nextframe.evaluation.table import show_evaluation

__all__ = [
    "DEFAULT_METRICS",
    "Evaluation",
    "Example",
    "Row",
    "clip_indices",
    "clips_for",
    "evaluate",
    "run_facts",
    "show_evaluation",
    "write_report",
]
