import numpy as np
import pytest

from codepretrain.inference.ladder.mixture_law import MixtureLaw, fit_mixture_law
from codepretrain.inference.ladder.power_law import has_enough_runs
from codepretrain.model.size import num_parameters_non_embedding
from tests.experiments.plans import experiment, phases, prints, shares

SIZES = ("30m", "125m", "470m")
SOURCES = ("text", "web_code", "markup")


def grid(name: str) -> list[tuple[int, int]]:
    """Parameters and tokens of one mixture's runs below the target."""
    return [
        (num_parameters_non_embedding(experiment(f"ladder_{size}").model), phase.tokens)
        for size in SIZES
        for key, phase in phases(f"ladder_{size}").items()
        if key.startswith(f"{name}_") and key.endswith("b") and phase.tokens < 100e9
    ]


@pytest.mark.parametrize("name", ["code_0", "code_25", "code_50", "code_75", "code_90", "code_100"])
def test_a_dose_has_runs_enough_for_a_law_of_parameters_and_tokens(name: str) -> None:
    points = np.array(grid(name), float)
    assert len(points) == 8
    assert has_enough_runs(points, np.full(8, 1.0))


@pytest.mark.parametrize("size", ["30m", "125m"])
def test_the_mixtures_determine_a_mixture_law(size: str) -> None:
    """Losses of a known law at the mixtures of 20B give the law's losses elsewhere."""
    names = [name for name in experiment(f"ladder_{size}").variants if name.endswith("_20b")]
    found = [shares(f"ladder_{size}", name) for name in names]
    mixtures = np.array([[of.get(source, 0.0) for source in SOURCES] for of in found])
    assert len(mixtures) == 10
    planted = MixtureLaw(
        constants=np.array([0.8, 0.4]),
        scales=np.array([0.3, 0.6]),
        rates=np.array([[-2.0, 0.5, 0.2], [0.3, -3.0, -1.0]]),
    )
    law = fit_mixture_law(mixtures, planted.losses(mixtures))
    elsewhere = np.array([[0.6, 0.3, 0.1], [0.2, 0.4, 0.4]])
    assert law.losses(elsewhere) == pytest.approx(planted.losses(elsewhere), abs=1e-3)


def test_the_target_is_trained_by_proportion() -> None:
    of = prints("proportion")
    doses = experiment("proportion").variants
    for percent in (0, 25, 50, 75, 90, 100):
        theirs = of[doses[f"code_{percent}"]]
        assert prints("ladder_470m")[f"code_{percent}_200b"] == theirs


def test_the_smallest_size_crosses_initialization_and_order() -> None:
    config = experiment("ladder_30m")
    pairs = {(one.initialization_seed, one.data_order_seed) for one in config.replicates}
    assert pairs == {(i, j) for i in range(3) for j in range(3)}
    assert "code_0_20b-r8" in phases("ladder_30m")
    assert "code_0_40b-r2" in phases("ladder_30m")
    assert "code_0_40b-r3" not in phases("ladder_30m")
