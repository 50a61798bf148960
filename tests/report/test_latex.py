import re
from dataclasses import replace

from codepretrain.config.schema import AveragesConfig, ContrastConfig
from codepretrain.report.collect import collect
from codepretrain.report.latex import latex_tables
from codepretrain.report.latex_text import escaped
from codepretrain.report.wording import NOT_THERE
from codepretrain.report.write import content_of
from tests.report.replicated import LOSS, LOSS_METRIC, replicated_study
from tests.report.test_trunks import study_of_trunks

LEVELS = {"text_pretrain": (3.0, 3.02, 2.97), "balanced_pretrain": (2.5, 2.55, 2.52)}
HELPS = ContrastConfig(
    metric=f"{LOSS}/{LOSS_METRIC}",
    direction="lower",
    variants=("balanced_pretrain", "text_pretrain"),
)


def tables_of(tmp_path, levels):
    study = replicated_study(tmp_path, levels)
    averages = AveragesConfig(categories={"reasoning": ("quiz/accuracy",)})
    study = replace(study, study="initialization", averages=averages, contrasts={"helps": HELPS})
    return latex_tables(content_of(collect(study)))


def test_every_table_is_whole_and_has_as_many_fields_as_columns(tmp_path):
    text = tables_of(tmp_path, LEVELS)
    found = re.findall(r"\\begin\{tabular\}\{(\w+)\}\n(.*?)\\end\{tabular\}", text, re.DOTALL)
    assert len(found) == 4
    for columns, body in found:
        assert [body.count(rule) for rule in (r"\toprule", r"\midrule", r"\bottomrule")] == [1] * 3
        for line in body.splitlines():
            if line.endswith(r"\\"):
                assert len(re.findall(r"(?<!\\)&", line)) == len(columns) - 1
    assert text.isascii() or not re.search("[−±×–→∞σΔ]", text)


def whole(text):
    """Returns the bodies of all tables, of which each line has as many fields as columns."""
    found = re.findall(r"\\begin\{tabular\}\{(\w+)\}\n(.*?)\\end\{tabular\}", text, re.DOTALL)
    for columns, body in found:
        for line in body.splitlines():
            if line.endswith(r"\\"):
                assert len(re.findall(r"(?<!\\)&", line)) == len(columns) - 1
    return [body for _, body in found]


def test_trunks_and_the_front_are_tables_too(tmp_path):
    trunks = latex_tables(content_of(collect(study_of_trunks(tmp_path / "trunks"))))
    continuations, slopes = whole(trunks)[-2:]
    assert r"A & text 75\%, code 25\%" in continuations
    (line,) = [
        line for line in slopes.splitlines() if line.startswith("code") and " & y & A & " in line
    ]
    assert line.count("recipes, 3 replicates") == 1
    assert NOT_THERE not in line  # a slope, and the one of the first trunk to compare it with
    study = replace(
        replicated_study(tmp_path / "front", LEVELS),
        pareto=(f"{LOSS}/{LOSS_METRIC}", "quiz/accuracy"),
    )
    front = whole(latex_tables(content_of(collect(study))))[-1]
    assert re.search(r"balanced\\_pretrain & 2\.\d+ & .* & on the front", front)


def test_what_is_special_in_latex_is_escaped():
    assert escaped("a_b & 5% of $x$ {y} #1 ~ ^ \\") == (
        r"a\_b \& 5\% of \$x\$ \{y\} \#1 \textasciitilde{} \textasciicircum{} \textbackslash{}"
    )


def test_only_recipes_are_called_better(tmp_path):
    text = tables_of(tmp_path / "many", LEVELS)
    assert "confirmed & recipes, 3 replicates" in text
    assert "better & recipes, 3 replicates" in text
    alone = tables_of(tmp_path / "one", {name: of[:1] for name, of in LEVELS.items()})
    assert "not decided & two checkpoints" in alone
    assert not re.search("better|worse|confirmed|recipes", alone)
