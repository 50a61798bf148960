"""What a teacher is asked, and the journal's record of its answer."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from codepretrain.data.synthetic.problem import Problem
from codepretrain.data.synthetic.prompt import prompt, solution_in
from codepretrain.endpoint import account
from codepretrain.endpoint.chat import Answer, Endpoint
from codepretrain.files.hashing import sha256_json


@dataclass(frozen=True, kw_only=True)
class Terms(account.Terms):
    """How a teacher is asked: `samples` times for each problem. license: of the answers."""

    samples: int = 1
    license: str | None = None


@dataclass(frozen=True)
class Request(account.Request):
    """A prompt about a problem."""

    problem: Problem


def request_id(problem: Problem, text: str, endpoint: Endpoint, sample: int) -> str:
    """Returns a hash of all that decides what is asked."""
    contents = {
        "problem": problem.id,
        "prompt": text,
        "model": endpoint.model,
        "temperature": endpoint.temperature,
        "max_tokens": endpoint.max_tokens,
        "sample": sample,
    }
    return sha256_json(contents)[:32]


def requests(problems: Iterator[Problem], endpoint: Endpoint, samples: int) -> Iterator[Request]:
    """Yields so many requests for each problem."""
    for problem in problems:
        text = prompt(problem)
        for sample in range(samples):
            yield Request(request_id(problem, text, endpoint, sample), text, problem.id, problem)


def answer_record(
    request: Request, answer: Answer | str, endpoint: Endpoint, terms: Terms
) -> dict[str, Any]:
    """Returns what the journal keeps of an answer; a text says why there is none."""
    problem = request.problem.to_json()
    record = {
        "problem": {**problem, "solution": None},
        "solution": None,
        "teacher": endpoint.model,
        "license": terms.license,
    }
    if isinstance(answer, str):
        return record | {"error": answer}
    record["answered_by"] = answer.model
    if answer.was_cut_off:
        return record | {"error": "cut off"}
    solution = solution_in(answer.text, request.problem.name)
    return record | {"solution": solution, "error": "no code" if solution is None else None}
