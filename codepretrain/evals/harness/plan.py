"""Turns rendered tasks into work for the model, and gives its answers back to their requests."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from codepretrain.errors import UserError
from codepretrain.evals.harness.decoding import read_decoding
from codepretrain.evals.harness.encode import encode_pairs, encode_prompts
from codepretrain.evals.harness.render import RenderedTask
from codepretrain.evals.harness.tokenizer import TextTokenizer
from codepretrain.evals.harness.work import Answers, Decoding, Generation, Work

if TYPE_CHECKING:
    from lm_eval.api.instance import Instance


@dataclass
class _Asked:
    """Requests of one kind, with a text that names the item of each."""

    requests: "list[Instance]" = field(default_factory=list)
    items: list[str] = field(default_factory=list)

    def add(self, request: "Instance", item: str) -> None:
        self.requests.append(request)
        self.items.append(item)


@dataclass(frozen=True)
class Plan:
    """Work, and the requests that it answers, in its order."""

    work: Work
    pairs: "Sequence[Instance]"
    sequences: "Sequence[Instance]"
    generations: "Sequence[Sequence[Instance]]"

    def give(self, answers: Answers) -> None:
        """Puts the answers into the requests, in place of those of an earlier evaluation."""
        for request, pair in zip(self.pairs, answers.pairs, strict=True):
            request.resps, request.filtered_resps = [pair], {}
        for request, total in zip(self.sequences, answers.sequences, strict=True):
            request.resps, request.filtered_resps = [total], {}
        for requests, answered in zip(self.generations, answers.generations, strict=True):
            for request, samples in zip(requests, answered, strict=True):
                request.resps, request.filtered_resps = list(samples), {}


def plan_work(
    tasks: Sequence[RenderedTask],
    tokenizer: TextTokenizer,
    *,
    max_seq_len: int,
    max_new_tokens: int | None,
) -> Plan:
    """Returns the work of all tasks.

    Args:
      max_seq_len: the model's window.
      max_new_tokens: longest generated answer, None for each task's own.

    Raises:
      UserError: an answer that is empty or does not fit into the window, or settings of a
        generation that are not supported.
    """
    pairs, sequences = _Asked(), _Asked()
    generations: dict[tuple[Decoding, int], _Asked] = {}
    for task in tasks:
        for item in task.items:
            for request in item.instances:
                if request.request_type == "loglikelihood":
                    pairs.add(request, item.id)
                elif request.request_type == "loglikelihood_rolling":
                    sequences.add(request, item.id)
                else:
                    decoding = _decoding(task.name, request, max_new_tokens, max_seq_len)
                    key = (decoding, request.repeats or 1)
                    generations.setdefault(key, _Asked()).add(request, item.id)
    contexts = [request.args[0] for request in pairs.requests]
    continuations = [request.args[1] for request in pairs.requests]
    encoded = encode_pairs(tokenizer, contexts, continuations)
    for name, (_, continuation) in zip(pairs.items, encoded, strict=True):
        if not 0 < len(continuation) <= max_seq_len:
            raise UserError(
                f"{name}: the continuation has {len(continuation)} tokens, expected 1 to "
                f"{max_seq_len} (config.data.max_seq_len)"
            )
    work = Work(
        pairs=encoded,
        sequences=tokenizer.encode_all(request.args[0] for request in sequences.requests),
        generations=[
            Generation(
                decoding,
                encode_prompts(tokenizer, [request.args[0] for request in asked.requests]),
                num_samples,
            )
            for (decoding, num_samples), asked in generations.items()
        ],
    )
    asked_for = [asked.requests for asked in generations.values()]
    return Plan(work, pairs.requests, sequences.requests, asked_for)


def _decoding(task: str, request: Any, max_new_tokens: int | None, max_seq_len: int) -> Decoding:
    try:
        decoding = read_decoding(request.args[1], max_new_tokens=max_new_tokens)
    except ValueError as error:
        raise UserError(f"task {task}: {error}") from error
    if decoding.max_new_tokens >= max_seq_len:
        raise UserError(
            f"task {task} writes answers of up to {decoding.max_new_tokens} tokens, which leaves "
            f"no room for a prompt in {max_seq_len} (config.data.max_seq_len): set "
            "options.max_new_tokens"
        )
    return decoding
