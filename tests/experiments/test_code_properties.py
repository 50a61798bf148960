import pytest

from tests.experiments.plans import epochs, experiment, phases, shares

NAME = "code_properties"


@pytest.mark.parametrize(
    ("variant", "expected"),
    [
        ("web_code", {"web_code": 1.0}),
        ("with_markup", {"web_code": 0.8, "markup": 0.2}),
        (
            "with_adjacent",
            {"web_code": 0.85, "issues": 0.05, "stackexchange": 0.05, "notebooks": 0.05},
        ),
        ("with_synthetic", {"web_code": 0.9, "synthetic_code": 0.1}),
        ("with_python", {"web_code": 0.9, "web_python": 0.1}),
        ("with_repeated", {"web_code": 0.9, "web_code_sample": 0.1}),
        ("with_synthetic_4_epochs", {"web_code": 0.936, "synthetic_code": 0.064}),
    ],
)
def test_arms_replace_a_part_of_200b_web_code(variant: str, expected: dict[str, float]) -> None:
    phase = phases(NAME)[experiment(NAME).variants[variant]]
    assert shares(NAME, phase.name) == pytest.approx(expected, abs=1e-6)
    assert phase.parent is None
    assert phase.num_steps == 47_684


def test_synthetic_code_and_its_controls_are_read_as_often_as_the_head_says() -> None:
    synthetic = epochs(NAME, "synthetic_init")["synthetic_code"]
    assert synthetic == pytest.approx(6.25, abs=0.001)
    assert epochs(NAME, "repeated_init")["web_code_sample"] == pytest.approx(synthetic)
    four = epochs(NAME, "synthetic_4_epochs_init")["synthetic_code"]
    assert four == pytest.approx(4.0, abs=0.001)


def test_the_sample_of_web_code_is_as_large_as_the_synthetic_code() -> None:
    sources = experiment(NAME).data.sources
    (subsample,) = (f for f in sources["web_code_sample"].filters if f.name == "subsample")
    assert subsample.options["share"] * sources["web_code"].num_tokens == pytest.approx(3.2e9)
    assert sources["web_code_sample"].options == sources["web_code"].options


def test_the_continued_arms_differ_in_the_initializer_alone() -> None:
    without, with_synthetic = (
        phases(NAME)[experiment(NAME).variants[name]]
        for name in ("balanced_text", "balanced_synthetic_text")
    )
    assert without.config == type(without.config)(
        **{**vars(with_synthetic.config), "parent": "balanced_init"}
    )
    expected = {"text": 0.5, "web_code": 0.36, "markup": 0.09, "synthetic_code": 0.05}
    assert shares(NAME, "balanced_synthetic_init") == pytest.approx(expected, abs=1e-6)


def test_published_effects_follow_from_table_2() -> None:
    """With 20% markup 44.7 is 2.8% above web code alone: 43.5, and +1.2 points."""
    contrasts = experiment(NAME).contrasts
    assert contrasts["reasoning_with_markup"].published_effect == pytest.approx(0.012, abs=2e-4)
    assert contrasts["code_with_markup"].direction == "lower"
    assert contrasts["code_with_markup"].published_effect == pytest.approx(-0.029, abs=2e-4)
