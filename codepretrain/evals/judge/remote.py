"""A judge behind an OpenAI-compatible endpoint; every verdict is paid once and kept.

    matches  →  two requests each  →  endpoint  →  journal of answers  →  judgments

The journal is kept per judge. A request is known by a hash of all that decides its answer: the
endpoint, the model and its settings, and the prompt, which holds both completions in their order.
So variants of other studies share verdicts about the same texts, and a completion that changed is
judged again. The answers are kept as text and read anew: another reading costs nothing.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from codepretrain.endpoint.account import Account, Request, Terms
from codepretrain.endpoint.chat import Answer, Endpoint
from codepretrain.endpoint.pace import Pace
from codepretrain.endpoint.paid_requests import FIELDS, ask_all
from codepretrain.evals.judge.criteria import PROMPT_VERSION, judge_prompt
from codepretrain.evals.judge.match import ORDERS, Judgment, Match, Outcome, identical, outcome
from codepretrain.evals.judge.verdict import parse_verdict
from codepretrain.files import journal as journals
from codepretrain.files.hashing import sha256_json
from codepretrain.files.storage import StrPath

_CUT_OFF, _NO_VERDICT = "cut off", "no verdict"
_BYTES_PER_TOKEN = 4.0  # of English text, to estimate a cost
_ANSWER_TOKENS = 250.0  # of 150 words and a verdict


@dataclass(frozen=True)
class Estimate:
    """What judging will take. `cost` is a guess, `most_cost` a bound if nothing is repeated."""

    num_requests: int
    num_kept: int
    num_identical: int
    cost: float
    most_cost: float


def identity(endpoint: Endpoint) -> dict[str, Any]:
    """Returns what decides the verdicts beside the completions; the key is no part of it."""
    return {
        "kind": "endpoint",
        "endpoint": endpoint.url.rstrip("/"),
        "model": endpoint.model,
        "prompt_version": PROMPT_VERSION,
        "temperature": endpoint.temperature,
        "max_tokens": endpoint.max_tokens,
        "seed": endpoint.seed,
    }


def estimate(
    matches: Sequence[Match], endpoint: Endpoint, terms: Terms, *, journal: StrPath
) -> Estimate:
    """Returns what is left to pay for; sends nothing."""
    kept = journals.read(journal, fields=FIELDS)
    known = {line["request"] for line in kept}
    requests = {request.id: request for request in _requests(matches, endpoint)}
    missing = [request for name, request in requests.items() if name not in known]
    num_tokens = [line["completion_tokens"] for line in kept if not line.get("is_estimate")]
    per_answer = sum(num_tokens) / len(num_tokens) if num_tokens else _ANSWER_TOKENS
    num_bytes = sum(len(request.prompt.encode()) for request in missing)
    return Estimate(
        num_requests=len(missing),
        num_kept=len(requests) - len(missing),
        num_identical=sum(match.is_identical for match in matches),
        cost=terms.cost(num_bytes / _BYTES_PER_TOKEN, per_answer * len(missing)),
        most_cost=sum(terms.most_cost(r.prompt, endpoint.max_tokens) for r in missing),
    )


def ask_judge(
    matches: Sequence[Match],
    endpoint: Endpoint,
    terms: Terms,
    *,
    journal: StrPath,
    pace: Pace | None = None,
    announce: Callable[[str], None] | None = None,
    on_answer: Callable[[Account], None] | None = None,
) -> Account:
    """Asks for the verdicts that the journal lacks. Arguments and errors: see `ask_all`."""
    return ask_all(
        _requests(matches, endpoint),
        endpoint,
        terms,
        journal=journal,
        record=_record,
        keeps_bad=False,
        pace=pace,
        announce=announce,
        on_answer=on_answer,
    )


def judgments(
    matches: Sequence[Match], endpoint: Endpoint, *, journal: StrPath
) -> tuple[list[Judgment], list[str]]:
    """Returns each match with the verdicts in the journal, and the models that gave them."""
    kept = {line["request"]: line for line in journals.read(journal, fields=FIELDS)}
    judged, models = [], set()
    for match in matches:
        if match.is_identical:
            judged.append(identical(match))
            continue
        lines = [kept.get(_request(match, order, endpoint).id) for order in ORDERS]
        models |= {str(line["answered_by"]) for line in lines if line and "answered_by" in line}
        first, second = (_outcome(line, order) for order, line in enumerate(lines))
        judged.append(Judgment(match.id, match.category, (first, second)))
    return judged, sorted(models)


def _requests(matches: Sequence[Match], endpoint: Endpoint) -> Iterator[Request]:
    for match in matches:
        if not match.is_identical:
            for order in ORDERS:
                yield _request(match, order, endpoint)


def _request(match: Match, order: int, endpoint: Endpoint) -> Request:
    prompt = judge_prompt(match, order)
    request_id = sha256_json({**identity(endpoint), "prompt": prompt})[:32]
    return Request(request_id, prompt, f"prompt {match.id}, order {order + 1}")


def _record(request: Request, answer: Answer | str) -> Mapping[str, Any]:
    if isinstance(answer, str):
        return {"item": request.label, "answer": None, "error": answer}
    error = None
    if answer.was_cut_off:
        error = _CUT_OFF
    elif parse_verdict(answer.text) is None:
        error = _NO_VERDICT
    return {
        "item": request.label,
        "answer": answer.text,
        "was_cut_off": answer.was_cut_off,
        "answered_by": answer.model,
        "error": error,
    }


def _outcome(line: Mapping[str, Any] | None, order: int) -> Outcome | None:
    """Returns the outcome of a journal's line; an answer that was cut off has no verdict."""
    if line is None or not isinstance(line.get("answer"), str):
        return None
    choice = None if line.get("was_cut_off") else parse_verdict(line["answer"])
    return outcome(choice, order)
