"""Judges on loopback that decide by rules which a test plants."""

import re
from collections.abc import Callable, Sequence
from typing import Any

from codepretrain.evals.judge.match import Match
from tests.endpoint.loopback import Handler, Reply, answer

# From the request and the two answers, in the order shown, to the text of the judge's answer.
Rule = Callable[[str, str, str], str]


def parts(prompt: str) -> dict[str, str]:
    """The texts between the markers, by name."""
    form = r"<<([a-z0-9 ]+) ([0-9a-f]{12})>>\n(.*?)\n<<end of \1 \2>>"
    return {name: text for name, _, text in re.findall(form, prompt, re.DOTALL)}


def judging(rule: Rule) -> Reply:
    """A server's reply by a rule."""

    def reply(handler: Handler, body: dict[str, Any]) -> None:
        found = parts(body["messages"][0]["content"])
        text = rule(found["request"], found["answer 1"], found["answer 2"])
        answer(text)(handler, body)

    return reply


def by_quality(_: str, first: str, second: str) -> str:
    """Prefers the answer with the larger number in it; a tie if they are equal."""
    ours, theirs = (int(re.findall(r"\d+", text)[0]) for text in (first, second))
    verdict = "TIE" if ours == theirs else "1" if ours > theirs else "2"
    return f"The first has {ours}, the second {theirs}.\n\nVERDICT: {verdict}"


def always_first(_: str, first: str, second: str) -> str:
    return "It came first.\n\nVERDICT: 1"


def mostly_first(request: str, first: str, second: str) -> str:
    """Prefers the first unless the second is better by more than 2."""
    ours, theirs = (int(re.findall(r"\d+", text)[0]) for text in (first, second))
    return by_quality(request, str(ours + 2), str(theirs))


def matches(*qualities: tuple[int, int], category: str = "") -> Sequence[Match]:
    """One match for each pair of qualities: the variant's and the reference's."""
    return [
        Match(f"p{i}", category, f"Request {i}\n\n", (f"quality {ours}", f"quality {theirs}"))
        for i, (ours, theirs) in enumerate(qualities)
    ]
