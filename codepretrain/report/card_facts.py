"""What is known of an exported checkpoint, for its model card."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from codepretrain.report.evaluations import Evaluation
from codepretrain.rows.document_tallies import Tallies


@dataclass(frozen=True, kw_only=True)
class CardPhase:
    """A phase on the way to the checkpoint.

    Attributes:
      plan: its entry in `codepretrain plan --json`.
      step: up to which its state was used.
      mixture: stages, as in `PhaseInput.mixture`.
      seeds: of its parameters, if it starts from random ones, and of its data.
    """

    plan: Mapping[str, Any]
    step: int
    mixture: Sequence[Mapping[str, Any]]
    seeds: tuple[int | None, int]

    @property
    def tokens(self) -> int:
        return int(self.plan["tokens"] * self.step // self.plan["steps"])


@dataclass(frozen=True, kw_only=True)
class CardSource:
    """A source that was read on the way to the checkpoint.

    Attributes:
      tokens: read on the whole path, repeated ones included; available: in its training rows.
      licenses: of documents in its training rows; why they are not known, otherwise.
    """

    name: str
    kind: str
    reader: str
    tokens: int
    available: int | None
    licenses: Tallies | str


@dataclass(frozen=True, kw_only=True)
class CardFacts:
    """What is known of an exported checkpoint.

    Attributes:
      model: `config.model`. optimizer: `config.optimizer`.
      initial: the name and the weights' hash of the imported model that it starts from.
      ledger: of the checkpoint, {} if it has none.
      not_evaluated: evaluation → why there is no result of it at this step.
      benchmarks: evaluation → the evaluation sets that its items are from.
      sought: evaluation sets whose text was sought in the training data, by n-grams of words.
      start: the first entry of the run's `starts.jsonl`.
      num_replicates: of the phase in the study.
    """

    study: str
    phase: str
    step: int
    num_steps: int
    fingerprint: str
    model: Mapping[str, Any]
    num_parameters: int
    num_parameters_non_embedding: int
    max_seq_len: int
    batch_size: int
    optimizer: Mapping[str, Any]
    tokens: int
    phases: Sequence[CardPhase]
    sources: Sequence[CardSource]
    initial: tuple[str, str] | None
    ledger: Mapping[str, Any]
    tokenizer_sha256: str
    evaluations: Sequence[Evaluation]
    not_evaluated: Mapping[str, str]
    benchmarks: Mapping[str, Sequence[str]]
    sought: Sequence[str]
    ngram_words: int
    start: Mapping[str, Any]
    code_version: str
    command: str
    num_replicates: int
