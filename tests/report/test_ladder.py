"""A ladder whose laws are known: losses of planted parameters at three sizes and lengths."""

import io
import json
import re
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from codepretrain.files.json_values import plain
from codepretrain.report import ladder_mixtures, ladder_predictions
from codepretrain.report.collect import collect
from codepretrain.report.ladder import climb
from codepretrain.report.ladder_arms import find_ladder
from codepretrain.report.ladder_exports import ladder_latex, print_ladder
from codepretrain.report.ladder_mixtures import choices
from codepretrain.report.ladder_view import ladder_html
from codepretrain.report.mixtures import mixture_text
from codepretrain.report.together import bring_together
from codepretrain.report.together_sections import SECTIONS, sections_of
from codepretrain.report.token_rows import token_rows
from codepretrain.report.write import content_of
from tests.report.replicated import LOSS, replicated_study
from tests.report.test_latex import whole

SIZES = (1_000_000, 4_000_000, 16_000_000)
LENGTHS = (20_000_000, 40_000_000, 80_000_000)
CODE = (0.0, 0.3, 0.6, 1.0)


def law(size: int, tokens: int, code: float) -> float:
    """The loss on code: falls with size, tokens and the share of code."""
    return 1.0 + 40 * size**-0.35 + 90 * tokens**-0.3 + 0.4 * np.exp(-1.5 * code)


def name_of(code: float, tokens: int) -> str:
    """A name that says nothing: shares and lengths are in the plan alone."""
    return "abcd"[CODE.index(code)] + "xyz"[LENGTHS.index(tokens)]


def study_of(root, size, *, lengths=LENGTHS):
    levels = {name_of(c, d): (law(size, d, c),) for d in lengths for c in CODE}
    study = replicated_study(root / f"{size}", levels, num_items=20, seed=size)
    phases = {
        name_of(code, tokens): replace(
            study.phases[name_of(code, tokens)],
            tokens=tokens,
            requested_tokens=tokens,
            mixture=({"start_tokens": 0, "weights": {"code": code, "text": 1 - code}},),
            fingerprint=f"{size} {code} {tokens}",
        )
        for tokens in lengths
        for code in CODE
    }
    return replace(
        study,
        study=f"size_{size}",
        phases=phases,
        baseline=name_of(0.0, lengths[0]),
        num_parameters=2 * size,
        num_parameters_non_embedding=size,
    )


@pytest.fixture(scope="module", autouse=True)
def few_draws():
    """Intervals of few draws: the tests are of what is predicted, and from what."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ladder_predictions, "_DRAWS", 8)
        patch.setattr(ladder_mixtures, "_DRAWS", 8)
        yield


@pytest.fixture(scope="module")
def contents(tmp_path_factory):
    root = tmp_path_factory.mktemp("ladder")
    return [content_of(collect(study_of(root, size))) for size in SIZES]


@pytest.fixture(scope="module")
def found(contents):
    return climb(contents)


def losses(found):
    return [one for one in found.predictions if one.row.evaluator == LOSS]


def test_arms_are_told_by_shares_sizes_and_tokens(contents):
    ladder = find_ladder(contents)
    assert ladder.target == (SIZES[-1], LENGTHS[-1])
    assert len(ladder.arms) == 36
    assert len(ladder.points) == 8
    half = (("code", 0.6), ("text", 0.4))
    assert ladder.at(ladder.target)[half].variant == "cz"
    assert len(ladder.below(half)) == 8
    assert find_ladder(contents[:1]) is None


def test_the_target_is_predicted_from_what_is_below_it(found):
    assert len(losses(found)) == len(CODE)
    for one in losses(found):
        assert one.num_runs == 8
        assert one.predicted == pytest.approx(one.actual, rel=0.02)
        assert one.interval.low < one.interval.high
        assert len(one.left_out) == 8
        assert one.left_out_error < 0.1


def test_the_planted_order_is_decided_at_every_point(found):
    of_loss = [one for one in found.rankings if one.row.evaluator == LOSS]
    assert [one.point for one in of_loss][-1] is None  # the laws' predictions
    assert len(of_loss) == 9
    assert all(one.num_mixtures == 4 for one in of_loss)
    # The least difference is 0.07, and the error of a run 0.01.
    assert all(one.of_all.share == 1 for one in of_loss)
    assert all(one.of_all.interval.low < 1 for one in of_loss)
    assert all(one.of_distinguishable.num_pairs <= 6 for one in of_loss)


def test_the_mixture_is_chosen_and_held_to_the_target(contents):
    manifests = {source: {"train": _Manifest(10**9)} for source in ("code", "text")}
    with_data = [
        replace(content, results=replace(content.results, manifests=manifests))
        for content in contents
    ]
    ladder = find_ladder(with_data)
    assert ladder is not None
    found = list(choices(ladder))
    assert len(found) == 8
    for one in found:
        assert one.sources == ("code", "text")
        assert one.correlations[0] >= 0.8 - 1e-9  # of ranks of four mixtures, each left out
        # Only the loss on code is measured: all code is best, and was tried.
        assert one.choice.mixture == pytest.approx([1.0, 0.0], abs=1e-3)
        assert one.is_within
        assert one.at_target.rank == 1
        assert one.at_target.regret == 0
        assert one.gain.value > 0


class _Manifest:
    """The one field that a ladder reads of a manifest."""

    def __init__(self, num_tokens: int) -> None:
        self.num_tokens = num_tokens


def test_without_prepared_data_no_mixture_is_chosen_and_the_page_says_why(found):
    assert all("unique tokens" in one.missing for one in found.choices)
    html = ladder_html(found)
    assert "expected positive numbers of unique tokens" in html
    assert "16M parameters, 80M tokens" in html


def test_the_legend_has_the_color_of_every_mixture_in_the_figure(found):
    html = ladder_html(found)
    legend = html.partition('<p class="legend">')[2].partition("</p>")[0]
    mixtures = [mixture_text(one) for one in dict.fromkeys(o.mixture for o in found.predictions)]
    looks = re.findall(r'fill="var\(--variant-(\d+)\)"/></svg>([^<]+)</span>', legend)
    assert looks == [(str(place), name) for place, name in enumerate(mixtures)]
    figure = html.partition('aria-label="Predicted')[2].partition("</figure>")[0]
    assert {place for place, _ in looks} <= set(re.findall(r"--variant-(\d+)", figure))


def test_the_numbers_are_json_and_the_section_is_of_several_studies(contents, found):
    json.dumps(plain(found.to_json()), allow_nan=False)
    assert "ladder" in SECTIONS
    assert "ladder" not in sections_of(bring_together(contents[:1]))


def test_the_ladder_is_in_latex_and_in_the_terminal(found):
    latex = ladder_latex(found)
    bodies = whole(latex)
    assert len(bodies) == 4  # mixtures, predictions, decision accuracy, choices
    assert len(re.findall(r" & .* \\\\$", bodies[1], re.M)) == 1 + len(found.predictions)
    assert "expected positive numbers of unique tokens" in bodies[3]
    file = io.StringIO()
    print_ladder(Console(file=file, width=100), found, width=100)
    text = file.getvalue()
    assert max(map(len, text.splitlines())) <= 100
    (line,) = [line for line in text.splitlines() if line.startswith("code, nats/token")]
    assert line.split()[2] == str(len(CODE))
    assert line.split()[-1] == "100%"


def test_progress_counts_every_prediction_and_choice(contents, found):
    told: list[tuple[int, int, str]] = []
    climb(contents, lambda *one: told.append(one))
    of = {what: [done for done, _, name in told if name == what] for _, _, what in told}
    assert of["predictions"] == list(range(1, len(found.predictions) + 1))
    assert of["choices of a mixture"] == list(range(1, len(found.ladder.points) + 1))
    assert all(total >= done for done, total, _ in told)


def test_another_evaluation_than_the_targets_is_left_out(contents):
    first = contents[0]
    cells = {
        key: replace(cell, digest="other") if key[0].evaluator == LOSS else cell
        for key, cell in first.comparison.cells.items()
    }
    changed = replace(first, comparison=replace(first.comparison, cells=cells))
    ladder = find_ladder([changed, *contents[1:]])
    assert ladder.notes == (
        f"{LOSS} of size_1000000 was measured with other items or settings than at the target, "
        "and is left out",
    )


def test_variants_are_placed_on_the_curve_of_the_baselines_mixture(contents):
    tokens = contents[0].sections.tokens
    assert [variant for _, variant in tokens.curve] == ["ax", "ay", "az"]
    of_loss = {one.variant: one for one in tokens.found if one.row.evaluator == LOSS}
    # More code at the shortest length: better than text at the longest, beyond the curve.
    assert np.isinf(of_loss["dx"].equivalent.ratio)
    rows = {row["variant"]: row for row in token_rows(tokens) if row["metric"] == "code"}
    assert rows["dx"]["equivalent"] == "> 80M"
    assert "ax" not in rows


def test_one_of_several_runs_of_a_mixture_is_taken_and_the_others_are_named(tmp_path):
    """Other runs of one mixture, such as with another rate; and more replicates of the same."""
    small, large = (study_of(tmp_path, size, lengths=LENGTHS[:1]) for size in SIZES[:2])
    plans = {"hot": replace(large.phases["bx"], fingerprint="hot"), **large.phases}
    more = replace(
        large,
        study="more",
        phases=plans,
        variants={"again": ("cx",), "hot": ("hot",)},
        replicates={"again": (("cx",), ("bx",)), "hot": (("hot",),)},
        baseline=None,
    )
    ladder = find_ladder([content_of(collect(one)) for one in (small, large, more)])
    of_target = ladder.at(ladder.target)
    arm = of_target[("code", 0.6), ("text", 0.4)]
    assert (arm.study, arm.variant, len(arm.fingerprints)) == ("more", "again", 2)
    assert of_target[("code", 0.3), ("text", 0.7)].variant == "bx"
    assert ladder.notes == (
        "hot of more is left out: other runs of the mixture, size and length of bx of "
        f"size_{SIZES[1]}",
    )
