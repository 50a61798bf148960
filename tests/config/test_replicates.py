"""The number of replicates from the command line."""

import dataclasses
from pathlib import Path

import pytest

from codepretrain.config.load import load_study
from codepretrain.config.replicates import with_replicates
from codepretrain.config.schema import ReplicateConfig
from codepretrain.errors import UserError
from tests.configs import small_study

FILE = """
from codepretrain.config.load import to_config_dict
from tests.configs import small_study

def get_config():
    return to_config_dict(small_study({changes}))
"""
TWO = "replicates=[{'initialization_seed': 0, 'data_order_seed': 7}] * 1"


def pairs(*seeds: tuple[int, int]) -> tuple[ReplicateConfig, ...]:
    return tuple(ReplicateConfig(initialization_seed=i, data_order_seed=d) for i, d in seeds)


@pytest.mark.parametrize(
    ("changes", "override", "expected"),
    [
        ("", "3", pairs((0, 0), (1, 1), (2, 2))),
        ("seed=1", "3", pairs((1, 1), (0, 0), (2, 2))),
        (TWO, "1", pairs((0, 7))),
        (TWO, "2", pairs((0, 7), (1, 1))),
        ("", "[{'initialization_seed': 4, 'data_order_seed': 5}]", pairs((4, 5))),
    ],
)
def test_replicates_are_overridden(
    tmp_path: Path, changes: str, override: str, expected: tuple[ReplicateConfig, ...]
) -> None:
    path = tmp_path / "study.py"
    path.write_text(FILE.replace("{changes}", changes))
    config = load_study(path, [f"--config.replicates={override}"])
    assert config.replicates == expected
    assert config.seed == 0


def test_the_number_of_one_variant_is_overridden(tmp_path: Path) -> None:
    path = tmp_path / "study.py"
    path.write_text(FILE.replace("{changes}", ""))
    given = ["--config.replicates=3", "--config.num_replicates.annealed=2"]
    assert load_study(path, given).num_replicates == {"annealed": 2}
    with pytest.raises(UserError, match=r"num_replicates.annealed = 2: config.replicates has 0"):
        load_study(path, given[1:])


@pytest.mark.parametrize("override", ["0", "1001", "-1", "2.5", "two"])
def test_a_number_that_cannot_be(tmp_path: Path, override: str) -> None:
    path = tmp_path / "study.py"
    path.write_text(FILE.replace("{changes}", ""))
    with pytest.raises(UserError, match=r"config\.replicates: expected"):
        load_study(path, [f"--config.replicates={override}"])


def test_two_numbers_are_an_error(tmp_path: Path) -> None:
    path = tmp_path / "study.py"
    path.write_text(FILE.replace("{changes}", ""))
    with pytest.raises(UserError, match=r"--config\.replicates is given twice"):
        load_study(path, ["--config.replicates=2", "--config.replicates=3"])


def test_added_seeds_differ_from_all_others() -> None:
    config = dataclasses.replace(small_study(), replicates=pairs((3, 1), (0, 2)))
    added = with_replicates(config, 4).replicates
    assert added == pairs((3, 1), (0, 2), (4, 4), (5, 5))
