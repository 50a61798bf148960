"""Exact and near duplicates of documents, within and across sources."""

from codepretrain.data.deduplicate.finder import (
    EXACT,
    NEAR,
    Duplicate,
    DuplicateCounts,
    DuplicateFinder,
)
from codepretrain.data.deduplicate.settings import DeduplicationSettings
from codepretrain.data.deduplicate.sketch import Sketch, key_of, locator_of, sketch

__all__ = [
    "EXACT",
    "NEAR",
    "DeduplicationSettings",
    "Duplicate",
    "DuplicateCounts",
    "DuplicateFinder",
    "Sketch",
    "key_of",
    "locator_of",
    "sketch",
]
