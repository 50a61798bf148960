"""Problem i of a seed is the same in every process."""

import os
import subprocess
import sys
from pathlib import Path

from codepretrain.data.synthetic.families import FAMILIES

ROOT = Path(__file__).parents[3]
_GENERATE = f"""
import hashlib, json
from codepretrain.data.synthetic.generate import generate
problems = [generate(5, i).to_json() for i in range({20 * len(FAMILIES)})]
print(hashlib.sha256(json.dumps(problems).encode()).hexdigest())
"""


def test_problems_do_not_depend_on_the_hash_seed() -> None:
    """The order of a set of texts does."""
    hashes = {
        subprocess.run(
            [sys.executable, "-c", _GENERATE],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(hashes) == 1
