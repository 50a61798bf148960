"""The language model as an `LM` of lm-evaluation-harness, with given parameters.

    lm_eval.simple_evaluate(model=HarnessLM(model, params, tokenizer), tasks=["boolq"])

The evaluator (`evaluation.py`) does not need it: it sends the same requests through the same
functions, and also works on several processes. This module imports the harness.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lm_eval.api.model import TemplateLM

from codepretrain.evals.harness.decoding import read_decoding
from codepretrain.evals.harness.encode import Pair, encode_pairs, encode_prompts
from codepretrain.evals.harness.tokenizer import TextTokenizer
from codepretrain.evals.harness.work import Decoding, Generation, Work, compute
from codepretrain.evals.progress import Progress, no_progress

if TYPE_CHECKING:
    from lm_eval.api.instance import Instance

    from codepretrain.evals.language_model import LanguageModel
    from codepretrain.model.transformer import Params


class HarnessLM(TemplateLM):
    """Answers the harness's requests. On several processes all of them make the same calls.

    Deviation from the harness's `hf` backend: a rolling likelihood starts from one bos. There, a
    tokenizer that adds bos itself gives two, and the probability of the second is counted.
    """

    def __init__(
        self,
        model: "LanguageModel",
        params: "Params",
        tokenizer: TextTokenizer,
        *,
        progress: Progress = no_progress,
    ) -> None:
        super().__init__()
        self._language_model = model
        self._params = params
        self._text = tokenizer
        self._progress = progress

    @property
    def eot_token_id(self) -> int:
        return self._text.eos

    @property
    def prefix_token_id(self) -> int:
        return self._text.bos

    @property
    def max_length(self) -> int:
        return self._language_model.max_seq_len

    def tok_encode(
        self, string: str, add_special_tokens: bool | None = None, **kwargs: Any
    ) -> list[int]:
        """Returns the ids of a text, after bos unless `add_special_tokens` is False."""
        ids = self._text.encode(string)
        return ids if add_special_tokens is False else [self._text.bos, *ids]

    def tok_decode(self, tokens: Sequence[int], **kwargs: Any) -> str:
        return self._text.decode(tokens)

    def loglikelihood(
        self, requests: "list[Instance]", disable_tqdm: bool = False
    ) -> list[tuple[float, bool]]:
        """Returns Σ log p of each continuation and whether it is the greedy one."""
        contexts, continuations = zip(*(request.args for request in requests), strict=True)
        return self._score(encode_pairs(self._text, contexts, continuations))

    def _loglikelihood_tokens(
        self, requests: list[tuple[tuple[str, str], list[int], list[int]]], **kwargs: Any
    ) -> list[tuple[float, bool]]:
        return self._score([(context, continuation) for _, context, continuation in requests])

    def _score(self, pairs: list[Pair]) -> list[tuple[float, bool]]:
        return compute(self._language_model, self._params, Work(pairs=pairs), self._progress).pairs

    def loglikelihood_rolling(
        self, requests: "list[Instance]", disable_tqdm: bool = False
    ) -> list[float]:
        """Returns Σ log p of each text."""
        sequences = self._text.encode_all(request.args[0] for request in requests)
        work = Work(sequences=sequences)
        return compute(self._language_model, self._params, work, self._progress).sequences

    def generate_until(self, requests: "list[Instance]", disable_tqdm: bool = False) -> list[str]:
        """Returns what the model writes after each context; one answer per request."""
        numbers: dict[Decoding, list[int]] = {}
        for number, request in enumerate(requests):
            numbers.setdefault(read_decoding(request.args[1]), []).append(number)
        prompts = encode_prompts(self._text, [request.args[0] for request in requests])
        generations = [
            Generation(decoding, [prompts[number] for number in chosen])
            for decoding, chosen in numbers.items()
        ]
        work = Work(generations=generations)
        answers = compute(self._language_model, self._params, work, self._progress)
        texts = [""] * len(requests)
        for chosen, answered in zip(numbers.values(), answers.generations, strict=True):
            for number, (text,) in zip(chosen, answered, strict=True):
                texts[number] = text
        return texts
