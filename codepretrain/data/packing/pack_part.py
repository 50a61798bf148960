"""Packs one part of a source and split: documents → token ids → rows, in a worker."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from etils import epath

from codepretrain.config.schema import TokenizerConfig
from codepretrain.data.document import Document
from codepretrain.data.packing.write_part import Packing, TokenizedBatch, write_part
from codepretrain.data.reading.document_parts import check_part as check_part_of_documents
from codepretrain.data.reading.documents import SourceDocuments, open_documents
from codepretrain.data.tokenization.encoder import DocumentEncoder
from codepretrain.data.tokenization.tokenizer import load_tokenizer
from codepretrain.files.directory import is_whole
from codepretrain.files.storage import is_local
from codepretrain.rows.part import PartManifest, check_part, load_part, part_name
from codepretrain.rows.vocabulary import load_vocabulary, tokenizer_path

_BATCH_BYTES = 2**20
_BATCH_DOCUMENTS = 4096


@dataclass(frozen=True, kw_only=True)
class PartTask:
    """One part: which documents, and how they are packed. Pickled to the workers.

    directory: of the source and split's rows. number: of the part. The part consists of those of
    the source's documents [start, stop) that `members` says: one bit each, as of `np.packbits`.
    bos_token, eos_token, vocab_size: of the tokenizer's config.
    """

    data_dir: str
    source: str
    directory: str
    identity: str
    number: int
    start: int
    stop: int
    members: np.ndarray
    num_documents: int
    num_bytes: int
    packing: str
    max_seq_len: int
    bos_token: str
    eos_token: str
    vocab_size: int
    tokenizer_hash: str
    cache_bytes: int | None


def pack_part(task: PartTask) -> PartManifest:
    """Packs the part unless it is whole, and returns its counts.

    Raises:
      UserError: documents or tokenizer are damaged, the tokenizer is not lossless, the disk is
        full, or the part that is there is damaged or another one.
    """
    directory = epath.Path(task.directory) / part_name(task.number)
    expected = {
        "identity": task.identity,
        "number": task.number,
        "num_documents": task.num_documents,
        "num_bytes": task.num_bytes,
    }
    if not is_whole(directory):
        encoder, num_bytes = load_encoder(
            task.data_dir, task.tokenizer_hash, task.bos_token, task.eos_token, task.vocab_size
        )
        how = Packing(
            identity=task.identity,
            packing=task.packing,
            max_seq_len=task.max_seq_len,
            num_bytes=num_bytes,
        )
        write_part(directory, _tokenized(_documents(task), encoder), number=task.number, how=how)
    found = load_part(directory)
    check_part(directory, found, expected)
    return found


@lru_cache(maxsize=1)
def load_encoder(
    data_dir: str, tokenizer_hash: str, bos_token: str, eos_token: str, vocab_size: int
) -> tuple[DocumentEncoder, np.ndarray]:
    """Returns the study's encoder, and the bytes of text that each id represents: [V] int32.

    A worker keeps them, with the words that it has tokenized, for its next part.
    """
    del tokenizer_hash  # part of the key: another tokenizer may take the former's place
    settings = TokenizerConfig(vocab_size=vocab_size, bos_token=bos_token, eos_token=eos_token)
    tokenizer = load_tokenizer(tokenizer_path(data_dir), settings)
    return DocumentEncoder(tokenizer, settings), load_vocabulary(data_dir).num_bytes


def _documents(task: PartTask) -> Iterator[Document]:
    documents = open_documents(task.data_dir, task.source, cache_bytes=task.cache_bytes)
    wanted = np.zeros(documents.manifest.num_documents, bool)
    wanted[task.start : task.stop] = np.unpackbits(task.members, count=task.stop - task.start)
    _verify(documents, wanted)
    return documents.read(wanted)


def _verify(documents: SourceDocuments, wanted: np.ndarray) -> None:
    """Compares the contents of the parts that are read with their hashes.

    Parts in an object store are compared when they are copied to the cache.
    """
    if not is_local(documents.folder):
        return
    start = 0
    for part in documents.manifest.parts:
        if wanted[start : start + part.num_documents].any():
            check_part_of_documents(documents.part_folder(part), part, reads_contents=True)
        start += part.num_documents


def _tokenized(documents: Iterator[Document], encoder: DocumentEncoder) -> Iterator[TokenizedBatch]:
    for batch in _batches(documents):
        yield TokenizedBatch(
            provenance=[document.provenance() for document in batch],
            tokens=encoder.encode([document.text for document in batch]),
        )


def _batches(documents: Iterator[Document]) -> Iterator[list[Document]]:
    """Yields documents in batches that are large enough for numpy and small enough for memory."""
    batch: list[Document] = []
    num_bytes = 0
    for document in documents:
        batch.append(document)
        num_bytes += len(document.text)
        if num_bytes >= _BATCH_BYTES or len(batch) >= _BATCH_DOCUMENTS:
            yield batch
            batch, num_bytes = [], 0
    if batch:
        yield batch
