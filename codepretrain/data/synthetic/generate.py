"""Problem i of a seed: a pure function of both."""

from random import Random

from codepretrain.data.synthetic.families import FAMILIES
from codepretrain.data.synthetic.families.build import build
from codepretrain.data.synthetic.problem import Problem
from codepretrain.files.hashing import sha256_json

_NAMES = tuple(FAMILIES)


def generate(seed: int, index: int) -> Problem:
    """Returns problem `index` of a seed. Every run of as many problems as there are families has
    one of each, in an order of its own."""
    turn, place = divmod(index, len(_NAMES))
    order = list(_NAMES)
    _random(seed, turn).shuffle(order)
    rng = _random(seed, turn, order[place])
    return build(order[place], FAMILIES[order[place]](rng), rng)


def _random(*key: int | str) -> Random:
    """Returns a generator that is the same in every process, whatever the hash seed."""
    return Random(sha256_json({"key": list(key)}))
