"""What variants gain and cost against one reference, in one table."""

import io
from dataclasses import replace

import pytest
from rich.console import Console

from codepretrain.config.schema import ContrastConfig
from codepretrain.report.answer_table import AnswerTable, answer_table, print_answer_table
from codepretrain.report.contrast_answers import lead
from codepretrain.report.write import write_report
from tests.report.replicated import replicated_study
from tests.report.test_contrasts import LEVELS, LOSS_NAME, decided

GAIN = ContrastConfig(
    metric=LOSS_NAME, direction="lower", variants=("coded", "plain"), margin=0.1, question="Better?"
)
COST = replace(GAIN, direction="not_higher", family="cost")
OF_ALL = {
    "gain_of_coded": GAIN,
    "gain_of_scrambled": replace(GAIN, variants=("scrambled", "plain"), family="other"),
    "cost_of_coded": COST,
}


def table(found, *, variants=("plain", "scrambled", "coded"), reference="plain"):
    return answer_table(list(found.values()), variants=variants, reference=reference)


def test_guards_of_other_tolerances_have_columns_of_their_own(tmp_path):
    looser = replace(COST, margin=0.2, family="cost of scrambled", variants=("scrambled", "plain"))
    made = table(decided(replicated_study(tmp_path, LEVELS), **OF_ALL, cost_of_scrambled=looser))
    assert isinstance(made, AnswerTable)
    assert [column.note for column in made.columns[1:]] == [
        "nats/token; tolerance +0.100",
        "nats/token; tolerance +0.200",
    ]
    for line, tolerance in zip(made.lines, (0.2, 0.1), strict=True):
        assert [key[2] for key in line.entries] == [None, tolerance]


def test_a_line_for_each_variant_gains_before_costs(tmp_path):
    found = decided(
        replicated_study(tmp_path, LEVELS),
        **OF_ALL,
        unasked=replace(GAIN, question=None, family="a"),
        others=replace(GAIN, variants=("coded", "scrambled"), family="b"),
        exceeded=replace(COST, variants=("scrambled", "coded"), family="c"),
    )
    made = table(found)
    assert isinstance(made, AnswerTable)
    assert [(c.key[1], c.note) for c in made.columns] == [
        (None, "nats/token; lower is better"),
        ("higher", "nats/token; tolerance +0.100"),
    ]
    assert {line.variant: line.conclusion for line in made.lines} == {
        "scrambled": "no gain that matters",
        "coded": "gain shown; cost within tolerance",
    }
    assert [line.variant for line in made.lines] == ["scrambled", "coded"], "the study's order"
    scrambled, coded = ([one for (one,) in line.entries.values()] for line in made.lines)
    assert [(entry.value, entry.outcome) for entry in coded] == [("−0.488", "favorable")] * 2
    assert scrambled[0].outcome == "not-distinguishable"
    console = io.StringIO()
    print_answer_table(Console(file=console), made, width=80)
    assert console.getvalue().splitlines() == [
        "scrambled against plain: no gain that matters.",
        "coded against plain: gain shown; cost within tolerance.",
    ]
    of_coded = table(found, reference="coded")
    assert of_coded is None, "one variant alone"


def test_without_gains_costs_and_two_variants_there_is_no_table(tmp_path):
    found = decided(replicated_study(tmp_path, LEVELS), **OF_ALL)
    assert table({"gain_of_coded": found["gain_of_coded"]}) is None
    assert table({name: one for name, one in found.items() if "gain" in name}) is None
    assert table(found, reference=None) is None
    console = io.StringIO()
    print_answer_table(Console(file=console), None, width=80)
    assert console.getvalue() == ""


def test_decisions_that_differ_name_their_metrics(tmp_path):
    found = decided(
        replicated_study(tmp_path, LEVELS),
        **OF_ALL,
        harm_of_coded=replace(GAIN, metric="quiz/accuracy", direction="equivalent", family="c"),
        cost_of_scrambled=replace(COST, variants=("scrambled", "plain"), margin=0.001, family="d"),
    )
    made = table(found)
    assert made is not None
    lines = {line.variant: line.conclusion for line in made.lines}
    assert lines["scrambled"] == "no gain that matters; cost not decided"
    assert lines["coded"].startswith("gain shown (")
    assert "; gain not decided (" in lines["coded"]


def test_two_gains_of_a_variant_on_one_metric_are_both_seen(tmp_path):
    same = replace(GAIN, direction="equivalent", family="c", question="The same?")
    both = {**OF_ALL, "sameness_of_coded": same}
    study = replicated_study(tmp_path, LEVELS)
    made = table(decided(study, **both))
    assert made is not None
    (coded,) = (line for line in made.lines if line.variant == "coded")
    gain = coded.entries[LOSS_NAME, None, None]
    assert [(one.name, one.answer) for one in gain] == [
        ("gain of coded", "Yes"),
        ("sameness of coded", "Not decided by these runs"),
    ]
    assert coded.conclusion == (
        "gain shown (code: gain of coded); gain not decided (code: sameness of coded); "
        "cost within tolerance"
    )
    page = write_report(replace(study, contrasts=both), tmp_path / "report").read_text()
    for one in gain:
        assert f"<small>{one.name}: {one.answer}</small>" in page
    assert "<small>gain of scrambled:" not in page


@pytest.mark.parametrize("direction", ["lower", "higher", "different"])
def test_gains_and_losses_are_by_the_direction_of_the_metric(tmp_path, direction) -> None:
    """What was expected, harm or any difference, is not what is better."""
    study = replicated_study(tmp_path, LEVELS)
    gain = replace(GAIN, direction=direction)
    harm = replace(gain, variants=("plain", "coded"), family="b")
    of = ("coded", "plain"), ("plain", "coded")
    costs = {f"c{i}": replace(COST, variants=one) for i, one in enumerate(of)}
    others = {
        f"o{i}": replace(one, variants=("scrambled", one.variants[1]), family=f"{i}")
        for i, one in enumerate((gain, harm))
    }
    found = decided(study, gain=gain, harm=harm, **costs, **others)
    against_plain, against_coded = (table(found, reference=name) for name in ("plain", "coded"))
    assert against_plain is not None
    assert against_coded is not None
    assert against_plain.lines[1].conclusion == "gain shown; cost within tolerance"
    assert against_coded.lines[0].conclusion == "loss shown; cost above tolerance"
    assert against_plain.columns[0].note == "nats/token; lower is better"


def test_the_lead_counts_answers_where_every_contrast_has_a_question(tmp_path):
    found = decided(
        replicated_study(tmp_path, LEVELS),
        **OF_ALL,
        absent=replace(GAIN, metric="exam/accuracy", family="e"),
    )
    assert lead(list(found.values())) == (
        "Of 4 registered questions: 2 answered yes, 1 answered no, 1 not known yet."
    )
    unasked = replace(found["absent"], config=replace(GAIN, question=None))
    assert lead([unasked]) == "Of 1 registered contrasts: 1 not decided."
