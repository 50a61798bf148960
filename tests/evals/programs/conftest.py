"""Small benchmarks in the real formats, and trials of a function that adds."""

from typing import Any

from codepretrain.evals.programs.grade import Grade, grade_trials
from codepretrain.evals.programs.trial import Trial
from codepretrain.evals.sandbox.run import SandboxLimits

QUICK = SandboxLimits(
    wall_s=20.0, cpu_s=2, memory_bytes=256 << 20, file_bytes=1 << 20, output_bytes=1 << 20
)
TESTS = """\
def check(candidate):
    assert candidate(20, 22) == 42
    assert candidate(-1, 1) == 0
    assert candidate([1], [2]) == [1, 2]
check(add)
"""


def trial(source: str, tests: str = TESTS, names: tuple[str, ...] = ("add",)) -> Trial:
    return Trial(source=source, setup="", tests=tests, names=names)


def grades(sources: list[str], **keywords: Any) -> list[Grade]:
    """Grades candidates for `add`."""
    return grade_trials(
        [trial(source, **keywords) for source in sources], limits=QUICK, num_workers=2
    )


HUMAN_EVAL: list[dict[str, Any]] = [
    {
        "task_id": "HumanEval/0",
        "prompt": "from typing import List\n\n\ndef total(numbers: List[int]) -> int:\n"
        '    """ Return the sum.\n    >>> total([1, 2])\n    3\n    """\n',
        "entry_point": "total",
        "canonical_solution": "    return sum(numbers)\n",
        "test": "\n\nMETADATA = {'author': 'x'}\n\n\ndef check(candidate):\n"
        "    assert candidate([1, 2]) == 3\n    assert candidate([]) == 0\n\n",
    },
    {
        "task_id": "HumanEval/1",
        "prompt": 'def encode(text: str):\n    """Reverse each half."""\n'
        "    half = len(text) // 2\n    return text[half:] + text[:half]\n\n\n"
        'def decode(text: str):\n    """\n    Undo encode.\n    """\n',
        "entry_point": "decode",
        "canonical_solution": "    half = len(text) - len(text) // 2\n"
        "    return text[half:] + text[:half]\n",
        "test": "def check(candidate):\n    for text in ('', 'a', 'ab', 'abc', 'abcd'):\n"
        "        assert candidate(encode(text)) == text\n",
    },
    {
        "task_id": "HumanEval/2",
        "prompt": 'def same(value):\n    """Return the value."""\n',
        "entry_point": "same",
        "canonical_solution": "    return value\n",
        "test": "def check(candidate):\n    for value in (3, 'x'):\n"
        "        assert candidate(value) == value\n",
    },
]


def _mbpp(number: int, name: str, code: str, tests: list[str], **fields: Any) -> dict[str, Any]:
    return {
        "text": f"Write a function named {name}.",
        "code": code,
        "task_id": number,
        "test_setup_code": "",
        "test_list": tests,
        "challenge_test_list": [],
        **fields,
    }


MBPP: list[dict[str, Any]] = [
    _mbpp(2, "one", "def one():\r\n  return 1", ["assert one() == 1"] * 3),
    _mbpp(3, "two", "def two():\r\n  return 2", ["assert two() == 2"] * 3),
    _mbpp(4, "three", "def three():\r\n  return 3", ["assert three() == 3"] * 3),
    _mbpp(
        11,
        "sum",
        "def sum(a, b):\r\n    return a + b",
        ["assert sum(1, 2) == 3", "assert sum(2, 2) == 4", "assert sum(0, 0) == 0"],
    ),
    _mbpp(
        12,
        "depth",
        "class Node:\r\n    def __init__(self, value):\r\n        self.value = value\r\n"
        "        self.left = None\r\n"
        "def depth(node):\r\n    return 0 if node is None else 1 + depth(node.left)",
        ["assert depth(root) == 2", "assert depth(root.left) == 1", "assert depth(None) == 0"],
        test_setup_code="root = Node(1)\r\nroot.left = Node(2)",
    ),
    _mbpp(
        13,
        "area",
        "import math\r\ndef area(r):\r\n    return math.pi * r * r",
        ["assert math.isclose(area(1), 3.14159, rel_tol=0.001)"] * 3,
    ),
    _mbpp(600, "later", "def later():\r\n  return 1", ["assert later() == 1"] * 3),
]
