"""What a teacher is asked, the journal's records of its answers, and their sums."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from codepretrain.data.synthetic.endpoint import Answer, Endpoint
from codepretrain.data.synthetic.problem import Problem
from codepretrain.data.synthetic.prompt import prompt, solution_in
from codepretrain.files.hashing import sha256_json


@dataclass(frozen=True, kw_only=True)
class Terms:
    """How a teacher is asked. Prices are per million tokens, in the currency of `max_cost`."""

    samples: int = 1
    concurrency: int = 8
    requests_per_minute: float | None = None
    license: str | None = None
    prompt_price: float = 0.0
    completion_price: float = 0.0
    max_cost: float | None = None

    def cost(self, prompt_tokens: int, completion_tokens: int) -> float:
        """Returns the price of so many tokens."""
        paid = prompt_tokens * self.prompt_price + completion_tokens * self.completion_price
        return paid / 1e6


@dataclass(kw_only=True)
class Account:
    """Sums over the journal, earlier runs included; `num_kept` is what they had answered.

    Attributes:
      num_without_solution: answers without usable code; they are paid, too.
      num_failed: requests without an answer, in this run. They are sent again by the next.
      num_lost: requests of this run that were sent, and whose answer did not arrive. The endpoint
        may bill them: `max_cost` counts them at their maximum, `cost` does not.
      num_estimated: answers whose tokens the endpoint did not count: taken at their maximum.
      stopped_at_cost: the next request could have passed `max_cost`.
    """

    num_answers: int = 0
    num_kept: int = 0
    num_without_solution: int = 0
    num_failed: int = 0
    num_lost: int = 0
    num_estimated: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: float = 0.0
    stopped_at_cost: bool = False

    def add(self, record: Mapping[str, Any], terms: Terms) -> None:
        """Counts a record of the journal, at the price that it has or else that of `terms`."""
        self.num_answers += 1
        self.num_without_solution += record.get("solution") is None
        self.num_estimated += bool(record.get("is_estimate"))
        self.prompt_tokens += record["prompt_tokens"]
        self.completion_tokens += record["completion_tokens"]
        cost = record.get("cost")
        if not isinstance(cost, int | float):
            cost = terms.cost(record["prompt_tokens"], record["completion_tokens"])
        self.cost += cost


@dataclass(frozen=True)
class Request:
    """A prompt about a problem; `id` is the hash that `request_id` returns."""

    id: str
    problem: Problem
    prompt: str


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
            yield Request(request_id(problem, text, endpoint, sample), problem, text)


def answer_record(
    request: Request, answer: Answer, endpoint: Endpoint, terms: Terms, bad_answers: int
) -> dict[str, Any]:
    """Returns the journal's record of an answer, after so many bad ones, which may be paid too."""
    solution = solution_in(answer.text, request.problem.name)
    error = "cut off" if answer.was_cut_off else "no code"
    record = bad_record(request, error, endpoint, terms, bad_answers + 1)
    record["answered_by"] = answer.model
    if answer.prompt_tokens is not None and answer.completion_tokens is not None:
        bad = bad_record(request, error, endpoint, terms, bad_answers)
        prompt_tokens = bad["prompt_tokens"] + answer.prompt_tokens
        completion_tokens = bad["completion_tokens"] + answer.completion_tokens
        record |= {
            "prompt_tokens": prompt_tokens,
            "completion_tokens": completion_tokens,
            "cost": terms.cost(prompt_tokens, completion_tokens),
            "is_estimate": bad_answers > 0,
        }
    if solution is not None and not answer.was_cut_off:
        record |= {"solution": solution, "error": None}
    return record


def bad_record(
    request: Request, error: str, endpoint: Endpoint, terms: Terms, num_answers: int
) -> dict[str, Any]:
    """Returns a record without a solution, with the largest count of tokens."""
    problem = request.problem.to_json()
    prompt_tokens = num_answers * len(request.prompt.encode())
    completion_tokens = num_answers * endpoint.max_tokens
    return {
        "request": request.id,
        "problem": {**problem, "solution": None},
        "solution": None,
        "error": error,
        "teacher": endpoint.model,
        "license": terms.license,
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "cost": terms.cost(prompt_tokens, completion_tokens),
        "is_estimate": True,
    }
