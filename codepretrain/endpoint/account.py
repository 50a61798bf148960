"""Prices of requests, and the sums over what was answered."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Terms:
    """How an endpoint is asked. Prices are per million tokens, in the currency of `max_cost`.

    deadline_s: seconds after which no request is sent and no failed one repeated; None: no limit.
    """

    concurrency: int = 8
    requests_per_minute: float | None = None
    prompt_price: float = 0.0
    completion_price: float = 0.0
    max_cost: float | None = None
    deadline_s: float | None = None

    def cost(self, prompt_tokens: float, completion_tokens: float) -> float:
        """Returns the price of so many tokens."""
        paid = prompt_tokens * self.prompt_price + completion_tokens * self.completion_price
        return paid / 1e6

    def most_cost(self, prompt: str, max_tokens: int) -> float:
        """Returns the largest price of one answer to `prompt`: a token is at least a byte."""
        return self.cost(len(prompt.encode()), max_tokens)


@dataclass(frozen=True)
class Request:
    """A prompt. id: a hash of all that decides the answer. label: names it in messages."""

    id: str
    prompt: str
    label: str


@dataclass(kw_only=True)
class Account:
    """Sums over the journal, earlier runs included; `num_kept` is what they had answered.

    Attributes:
      num_unusable: answers without what was asked for; they are paid, too.
      num_failed: requests without an answer, in this run. They are sent again by the next.
      num_lost: requests of this run that were sent, and whose answer did not arrive. The endpoint
        may bill them: `max_cost` counts them at their maximum, `cost` does not.
      num_estimated: answers whose tokens the endpoint did not count: taken at their maximum.
      stopped_at_cost: the next request could have passed `max_cost`.
      stopped_at_deadline: time ran out before every request was sent.
    """

    num_answers: int = 0
    num_kept: int = 0
    num_unusable: int = 0
    num_failed: int = 0
    num_lost: int = 0
    num_estimated: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: float = 0.0
    stopped_at_cost: bool = False
    stopped_at_deadline: bool = False

    def add(self, record: Mapping[str, Any], terms: Terms) -> None:
        """Counts a record of the journal, at the price that it has or else that of `terms`."""
        self.num_answers += 1
        self.num_unusable += record.get("error") is not None
        self.num_estimated += bool(record.get("is_estimate"))
        self.prompt_tokens += record["prompt_tokens"]
        self.completion_tokens += record["completion_tokens"]
        cost = record.get("cost")
        if not isinstance(cost, int | float):
            cost = terms.cost(record["prompt_tokens"], record["completion_tokens"])
        self.cost += cost
