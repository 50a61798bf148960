"""Near duplicates: texts with similar sets of word n-grams."""

from codepretrain.data.deduplicate.finder import NearDuplicateFinder
from codepretrain.data.deduplicate.settings import DeduplicationSettings
from codepretrain.data.deduplicate.sketch import sketch, sketch_width

__all__ = ["DeduplicationSettings", "NearDuplicateFinder", "sketch", "sketch_width"]
