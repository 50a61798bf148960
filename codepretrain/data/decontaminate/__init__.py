"""Overlap of documents with evaluation sets."""

from codepretrain.data.decontaminate.index import (
    DecontaminationSettings,
    EvaluationIndex,
    EvaluationText,
    Match,
)
from codepretrain.data.decontaminate.report import DecontaminationReport

__all__ = [
    "DecontaminationReport",
    "DecontaminationSettings",
    "EvaluationIndex",
    "EvaluationText",
    "Match",
]
