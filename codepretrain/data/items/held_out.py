"""Held-out documents with their tokens, the source of the local tasks' items."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from codepretrain.config.schema import StudyConfig
from codepretrain.data.document import Document
from codepretrain.data.selection.samples import sample_documents
from codepretrain.data.tokenization.encoder import DocumentEncoder
from codepretrain.files.storage import StrPath
from codepretrain.rows.vocabulary import Vocabulary

# Per source. Tokens as Python integers take about 12 bytes for each byte of text.
MAX_DOCUMENTS = 4096
MAX_BYTES = 16 * 2**20


@dataclass(frozen=True)
class HeldOut:
    """ids: bos and eos included."""

    document: Document
    ids: list[int]
    vocabulary: Vocabulary

    @cached_property
    def text(self) -> bytes:
        return self.document.text.encode()

    @cached_property
    def ends(self) -> np.ndarray:
        """ends[i]: bytes of text up to and including token i."""
        return np.cumsum(self.vocabulary.num_bytes[self.ids])


def held_out_documents(
    data_dir: StrPath,
    source: str,
    encoder: DocumentEncoder,
    vocabulary: Vocabulary,
    *,
    config: StudyConfig,
) -> list[HeldOut]:
    """Returns a sample of the source's validation split: `MAX_DOCUMENTS`, or all.

    Fewer if their texts together reach `MAX_BYTES`.
    """
    chosen = list(
        sample_documents(
            data_dir,
            source=source,
            split="validation",
            purpose="evaluation items",
            num_documents=MAX_DOCUMENTS,
            max_bytes=MAX_BYTES,
            cache_bytes=config.execution.row_cache_bytes,
        )
    )
    tokens = encoder.encode([document.text for document in chosen])
    return [
        HeldOut(document, ids.tolist(), vocabulary)
        for document, ids in zip(chosen, tokens, strict=True)
    ]
