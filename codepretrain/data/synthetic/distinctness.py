"""How much problems differ: distinct programs and statements, and near-duplicates.

A normalized program has no comments, docstrings or layout, and its own names are numbered. In its
shape, constants are left out too. Near-duplicates are pairs of texts (statement and solution) whose
sets of 5-word shingles have a Jaccard similarity of at least 0.8; candidates for pairs are found by
MinHash (`data/deduplicate/minhash.py`) in 16 bands of 4 hashes, which misses a pair at 0.8 with a
probability of 0.0002, and are compared exactly.
"""

import ast
import re
import zlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from codepretrain.data.deduplicate.minhash import band_keys, signature_of, similarity
from codepretrain.data.deduplicate.settings import DeduplicationSettings
from codepretrain.data.python_syntax import parse_module

SIMILARITY = 0.8
_SEARCH = DeduplicationSettings(
    ngram_size=5, num_permutations=64, num_bands=16, rows_per_band=4, threshold=SIMILARITY
)
_MAX_BUCKET = 50  # members of a bucket that a text is compared with, the latest ones


@dataclass(frozen=True, kw_only=True)
class Distinctness:
    """Shares of `num_programs`: distinct ones, and those with an earlier near-duplicate."""

    num_programs: int
    distinct_programs: float
    distinct_shapes: float
    distinct_statements: float
    near_duplicates: float


def distinctness(pairs: Sequence[tuple[str, str]]) -> Distinctness:
    """Returns how much pairs of a statement and a solution differ; at least one."""
    count = len(pairs)
    return Distinctness(
        num_programs=count,
        distinct_programs=len({normalized_program(program) for _, program in pairs}) / count,
        distinct_shapes=len({shape(program) for _, program in pairs}) / count,
        distinct_statements=len({_statement(statement) for statement, _ in pairs}) / count,
        near_duplicates=sum(_has_earlier_near_duplicate(pairs)) / count,
    )


def normalized_program(code: str) -> str:
    """Returns the program with its own names numbered.

    Text that is not Python, or is nested too deeply, is returned as it is.
    """
    return _normalized(code, keeps_constants=True)


def shape(code: str) -> str:
    """Returns the normalized program without its constants."""
    return _normalized(code, keeps_constants=False)


def _normalized(code: str, *, keeps_constants: bool) -> str:
    tree = parse_module(code)
    if tree is None:
        return code
    names = {name: f"v{i}" for i, name in enumerate(dict.fromkeys(_bound_names(tree)))}
    try:
        return ast.dump(_Normalizer(names, keeps_constants).visit(tree))
    except RecursionError:
        return code


def _bound_names(tree: ast.AST) -> Iterable[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id


class _Normalizer(ast.NodeTransformer):
    def __init__(self, names: Mapping[str, str], keeps_constants: bool) -> None:
        self._names = names
        self._keeps_constants = keeps_constants

    def visit(self, node: ast.AST) -> ast.AST:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            node.name = self._names.get(node.name, node.name)
            if ast.get_docstring(node) is not None:
                node.body = node.body[1:]
        elif isinstance(node, ast.arg):
            node.arg = self._names.get(node.arg, node.arg)
        elif isinstance(node, ast.Name):
            node.id = self._names.get(node.id, node.id)
        elif isinstance(node, ast.Attribute):
            node.attr = self._names.get(node.attr, node.attr)
        elif isinstance(node, ast.Constant) and not self._keeps_constants:
            return ast.Constant(0)
        return self.generic_visit(node)


def _statement(text: str) -> str:
    return " ".join(text.casefold().split())


def _has_earlier_near_duplicate(pairs: Sequence[tuple[str, str]]) -> list[bool]:
    buckets: dict[int, list[int]] = defaultdict(list)
    shingles, found = [], []
    for number, pair in enumerate(pairs):
        mine = _shingles("\n".join(pair))
        shingles.append(mine)
        others: set[int] = set()
        for key in band_keys(signature_of(mine, _SEARCH.num_permutations), _SEARCH).tolist():
            bucket = buckets[key]
            others.update(bucket[-_MAX_BUCKET:])
            bucket.append(number)
        found.append(any(similarity(mine, shingles[other]) >= SIMILARITY for other in others))
    return found


def _shingles(text: str) -> np.ndarray:
    """Returns a hash of each run of words and signs: [shingles] uint64, sorted.

    Signs count, unlike in `data/deduplicate`: programs may differ in an operator alone.
    """
    words = re.findall(r"\w+|[^\w\s]", text)
    size = _SEARCH.ngram_size
    runs = [words[i : i + size] for i in range(max(1, len(words) - size + 1))]
    hashes = {zlib.crc32(" ".join(run).encode()) for run in runs}
    return np.sort(np.array(list(hashes), np.uint64)) << np.uint64(32)  # `signature_of` reads these
