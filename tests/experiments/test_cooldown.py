import pytest

from tests.experiments.plans import epochs, experiment, phases, prints, shares

NAME = "cooldown"
TRUNKS = ("text_only", "balanced_only", "balanced_text", "code_text")


def phase_of(variant: str):
    return phases(NAME)[experiment(NAME).variants[variant]]


@pytest.mark.parametrize("trunk", TRUNKS)
def test_every_trunk_has_its_arms(trunk: str) -> None:
    start = phase_of(f"{trunk}_trunk")
    for arm in ("cooled", "without_code", "own"):
        phase = phase_of(f"{trunk}_{arm}")
        assert phase.parent is start
        assert phase.num_steps == 9537
        assert phase.learning_rate(0) == pytest.approx(3e-4)
        assert phase.learning_rate(9536) == 1e-6
    assert "web_code" not in shares(NAME, phase_of(f"{trunk}_without_code").name)
    last = shares(NAME, start.name)
    assert shares(NAME, phase_of(f"{trunk}_own").name) == pytest.approx(last, abs=1e-6)


def test_trunks_are_those_of_table_2() -> None:
    of = prints("initialization")
    for trunk in TRUNKS:
        for suffix, arm in (("_trunk", "_trunk"), ("", "_cooled")):
            theirs = of[experiment("initialization").variants[f"{trunk}{suffix}"]]
            assert prints(NAME)[phase_of(f"{trunk}{arm}").name] == theirs


@pytest.mark.parametrize(
    ("variant", "code"),
    [("without_code", 0.0), ("code_10", 0.1), ("cooled", 0.2), ("code_40", 0.4)],
)
def test_doses_differ_in_the_share_of_code_alone(variant: str, code: float) -> None:
    phase = phase_of(f"balanced_text_{variant}")
    found = shares(NAME, phase.name)
    assert found.pop("web_code", 0.0) == pytest.approx(code, abs=1e-6)
    text = {source: share / (1 - code) for source, share in found.items()}
    expected = {"text_quality": 0.81225, "text_math": 0.1875, "text_instruct": 0.00025}
    assert text == pytest.approx(expected, abs=1e-5)
    assert phase.parent.name == "balanced_text_continued"


def test_instructions_are_repeated_less_than_four_times() -> None:
    """Dolly has 3M tokens: 15% of 40B would be 2,000 epochs."""
    for trunk in TRUNKS:
        for arm in ("cooled", "without_code"):
            assert 2 < epochs(NAME, phase_of(f"{trunk}_{arm}").name)["text_instruct"] < 4


@pytest.mark.parametrize(
    ("constant", "annealed"), [("constant", "cooled"), ("own_constant", "own")]
)
def test_constant_arms_keep_the_rate_and_read_the_same(constant: str, annealed: str) -> None:
    kept, fallen = (phase_of(f"balanced_text_{name}") for name in (constant, annealed))
    assert {kept.learning_rate(step) for step in (0, 5000, 9536)} == {kept.parent_learning_rate}
    assert kept.parent_learning_rate == pytest.approx(3e-4)
    assert kept.stages == fallen.stages
    assert kept.start_ordinals == fallen.start_ordinals


def test_data_and_annealing_are_a_factorial() -> None:
    """Of +1 point of the data and +2 of annealing with it, and -1 without."""
    scores = {"own_constant": 0.0, "own": -1.0, "constant": 1.0, "cooled": 3.0}
    contrasts = experiment(NAME).contrasts

    def value(name: str) -> float:
        arms = contrasts[name].arms
        return sum(w * scores[arm.removeprefix("balanced_text_")] for arm, w in arms.items())

    assert value("annealing") == pytest.approx(0.5)
    assert value("data") == pytest.approx(2.5)
    assert value("data_by_annealing") == pytest.approx(3.0)


def test_arms_of_one_trunk_are_compared_trunk_by_trunk() -> None:
    for contrast in experiment(NAME).contrasts.values():
        assert contrast.is_paired == bool(contrast.variants)
