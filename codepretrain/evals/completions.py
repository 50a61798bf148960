"""Completes a set of prompts, such as the Dolly prompts of the study's win rates, and records them.

Nothing is graded here: the metrics describe the completions. `codepretrain judge` compares the
recorded completions of two variants (docs/win_rates.md).

A prompt is rendered as the reader `instruct` renders a training document up to its response
(`codepretrain/instructions.py`). Its tokens are those that the prompt has in front of a letter:
with the pre-tokenizer of GPT-2, a blank line at the end of a text is one token, and two within it,
so the tokens of the prompt alone would be a sequence that training never showed.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from codepretrain.config.schema import StudyConfig
from codepretrain.errors import UserError
from codepretrain.evals.estimate import clustered_mean
from codepretrain.evals.evaluator import EvalResult, EvaluatorKind, Request
from codepretrain.evals.item_scores import ItemScores
from codepretrain.evals.metric import MetricSpec
from codepretrain.evals.progress import Progress
from codepretrain.evals.prompt_set import Prompt, prompts_sha256, read_prompts
from codepretrain.files.hashing import sha256_json

if TYPE_CHECKING:
    from codepretrain.evals.language_model import Completion, LanguageModel, Sampling
    from codepretrain.evals.resources import Resources
    from codepretrain.model.transformer import Params
    from codepretrain.rows.vocabulary import Vocabulary

VERSION = "1"  # of the records and metrics below
NGRAM = 4
_LETTER = "A"

# The completion ended with the document's end or with `stop`, not at `max_new_tokens`.
ENDED = MetricSpec(name="ended", unit="fraction", direction=None, cluster="item")
# The completion has no visible character.
EMPTY = MetricSpec(name="empty", unit="fraction", direction=None, cluster="item")
NUM_BYTES = MetricSpec(name="bytes", unit="bytes", direction=None, cluster="item")
# The share of a completion's word 4-grams that occurred in it before; 0 without one. No "fraction",
# which counts items that are 0 or 1.
REPEATED = MetricSpec(name="repeated_ngrams", unit="ratio", direction=None, cluster="item")


@dataclass(frozen=True, kw_only=True)
class CompletionsOptions:
    """Options.

    Attributes:
      prompts: a file of prompts (`prompt_set.py`), local or in an object store.
      temperature: 0 takes the most probable token; otherwise tokens are drawn with `seed`.
      top_k, top_p: draw from the most probable tokens only; 0 and 1 draw from all.
      stop: a text before which a completion ends, such as a blank line; "" for none.
    """

    prompts: str
    max_new_tokens: int = 256
    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0
    seed: int = 0
    stop: str = ""


class Tokenizer(Protocol):
    """Text → token ids, without bos and eos."""

    def encode(self, text: str) -> list[int]: ...


class Completions:
    """Params → one completion of each prompt."""

    def __init__(
        self,
        model: "LanguageModel",
        tokenizer: Tokenizer,
        prompts: Sequence[Prompt],
        options: CompletionsOptions,
    ) -> None:
        self._model = model
        self._prompts = prompts
        self._options = options
        bos = model.vocabulary.bos
        self._token_ids = [
            [bos, *prompt_ids(prompt.text, tokenizer, model.vocabulary)] for prompt in prompts
        ]
        settings = {**asdict(options), "max_seq_len": model.max_seq_len}
        del settings["prompts"]  # its contents decide, not its name
        self.identity: Mapping[str, str] = {
            "items": prompts_sha256(prompts),
            "prompts": sha256_json({"token_ids": self._token_ids}),
            "grader": f"completions {VERSION}",
            "settings": sha256_json(settings),
        }

    def __call__(self, params: "Params", progress: Progress) -> EvalResult:
        self._check_same_prompts()
        samples = self._model.generate(
            params,
            self._token_ids,
            max_new_tokens=self._options.max_new_tokens,
            stop=[self._options.stop.encode()] if self._options.stop else [],
            sampling=_sampling(self._options),
            progress=progress,
        )
        completions = [completion for (completion,) in samples]
        room = self._model.max_seq_len - self._options.max_new_tokens
        records = [
            _record(prompt, completion, is_cut=len(ids) > room)
            for prompt, completion, ids in zip(
                self._prompts, completions, self._token_ids, strict=True
            )
        ]
        return describe(records)

    def _check_same_prompts(self) -> None:
        """Raises UserError on every process if processes have read different files of prompts."""
        from codepretrain.hosts import decide, gather  # imports JAX

        ours = self.identity["prompts"]
        first = decide("the prompts", lambda: ours)

        def check() -> None:
            if first != ours:
                raise UserError(
                    f"{self._options.prompts} holds other prompts on this host than on that of "
                    "process 0: copy the same file to every host"
                )

        gather("whether the prompts are the same", check)


def prompt_ids(text: str, tokenizer: Tokenizer, vocabulary: "Vocabulary") -> list[int]:
    """Returns the token ids that `text` has in a document in which a letter follows it.

    If one token would hold the end of the text and the letter, the ids are those of the text alone.
    """
    size = len(text.encode())
    ids: list[int] = []
    num_bytes = 0
    for token in tokenizer.encode(text + _LETTER):
        num_bytes += len(vocabulary.token_bytes[token])
        if num_bytes > size:
            break
        ids.append(token)
        if num_bytes == size:
            return ids
    return tokenizer.encode(text)


def repeated_ngrams(text: str) -> float:
    """Returns the share of the text's word 4-grams that occurred in it before, 0 without one."""
    words = text.split()
    ngrams = Counter(zip(*(words[start:] for start in range(NGRAM)), strict=False))
    total = ngrams.total()
    return (total - len(ngrams)) / total if total else 0.0


def describe(records: Sequence[Mapping[str, Any]]) -> EvalResult:
    """Returns the metrics of completions, with their records."""
    texts = [record["completion"] for record in records]
    ids = [record["id"] for record in records]
    columns: dict[MetricSpec, list[float]] = {
        ENDED: [record["reason"] != "length" for record in records],
        EMPTY: [not text.strip() for text in texts],
        NUM_BYTES: [record["bytes"] for record in records],
        REPEATED: [repeated_ngrams(text) for text in texts],
    }
    scores = {spec.name: np.array(values, np.float64) for spec, values in columns.items()}
    metrics = {spec.name: spec.metric(clustered_mean(scores[spec.name], ids)) for spec in columns}
    return EvalResult(metrics, ItemScores(ids, scores, records, clusters=ids))


def _record(prompt: Prompt, completion: "Completion", *, is_cut: bool) -> dict[str, Any]:
    """`is_cut`: the prompt was too long for the model's rows and lost its beginning."""
    return {
        "id": prompt.id,
        "category": prompt.category,
        "prompt": prompt.text,
        "completion": completion.text.decode(errors="replace"),
        "bytes": len(completion.text),
        "tokens": len(completion.tokens),
        "reason": completion.reason,
        "is_cut": is_cut,
    }


def _sampling(options: CompletionsOptions) -> "Sampling | None":
    if options.temperature == 0:
        return None
    from codepretrain.evals.language_model import Sampling

    return Sampling(
        temperature=options.temperature,
        top_k=options.top_k or None,
        top_p=options.top_p,
        seed=options.seed,
    )


def _check(request: Request[CompletionsOptions]) -> None:
    options, path = request.options, f"{request.path}.options"
    problems = {
        "prompts": (bool(options.prompts), "the path of a file of prompts"),
        "max_new_tokens": (options.max_new_tokens >= 1, "1 or more"),
        "temperature": (0 <= options.temperature < float("inf"), "0 or more"),
        "top_k": (options.top_k >= 0, "0 or more"),
        "top_p": (0 < options.top_p <= 1, "above 0 and at most 1"),
        "seed": (0 <= options.seed < 1 << 31, "0 to 2147483647"),
    }
    for name, (is_valid, expected) in problems.items():
        if not is_valid:
            found = getattr(options, name)
            raise UserError(f"{path}.{name}: expected {expected}, found {found!r}")


def _check_study(request: Request[CompletionsOptions], config: StudyConfig) -> None:
    most = config.data.max_seq_len - 1
    if request.options.max_new_tokens > most:
        raise UserError(
            f"{request.path}.options.max_new_tokens: expected at most {most} "
            f"(config.data.max_seq_len - 1, for a prompt), found {request.options.max_new_tokens}"
        )


def _read(request: Request[CompletionsOptions]) -> list[Prompt]:
    return read_prompts(
        request.options.prompts,
        option=f"{request.path}.options.prompts",
        num_examples=request.num_examples,
    )


def _check_data(request: Request[CompletionsOptions]) -> None:
    _read(request)


def _build(request: Request[CompletionsOptions], resources: "Resources") -> Completions:
    from codepretrain.evals.harness.tokenizer import TextTokenizer

    tokenizer = TextTokenizer.load(resources.data_dir)
    return Completions(resources.language_model, tokenizer, _read(request), request.options)


EVALUATOR = EvaluatorKind(
    name="completions",
    options=CompletionsOptions,
    metrics=(ENDED, EMPTY, NUM_BYTES, REPEATED),
    build=_build,
    check=_check,
    check_study=_check_study,
    check_data=_check_data,
    reads_held_out=False,
)
