import re
from dataclasses import replace
from pathlib import Path

from codepretrain.config.schema import AveragesConfig, ContrastConfig
from codepretrain.report import latex_text
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


def whole(text):
    """Returns the bodies of all tables, of which each line has as many fields as columns."""
    found = re.findall(r"\\begin\{longtable\}(.*?)\\end\{longtable\}", text, re.DOTALL)
    for body in found:
        preamble, _, rest = body.partition(r"\caption")
        columns = preamble.count("p{") or len(preamble.strip().strip("{}"))
        rules = (r"\toprule", r"\midrule", r"\endhead", r"\bottomrule", r"\endfoot")
        assert [rest.count(rule) for rule in rules] == [1] * 5
        rows = [line for line in rest.splitlines()[1:] if line.endswith(r"\\")]
        for line in rows:
            assert len(re.findall(r"(?<!\\)&", line)) == columns - 1
        headings = re.findall(r"\\multicolumn\{(\d+)\}", rest)
        assert set(headings) <= {str(columns)}
    return found


def test_every_table_is_whole_and_continues_on_the_next_page(tmp_path):
    text = tables_of(tmp_path, LEVELS)
    assert len(whole(text)) == 4
    assert r"\usepackage{array,booktabs,longtable}" in text
    assert text.isascii()


def test_trunks_and_the_front_are_tables_too(tmp_path):
    trunks = latex_tables(content_of(collect(study_of_trunks(tmp_path / "trunks"))))
    continuations, slopes = whole(trunks)[-2:]
    assert r"A & text 75\%, code 25\%" in continuations
    (line,) = [
        line for line in slopes.partition("code (")[2].splitlines() if line.startswith("y & A & ")
    ][:1]
    assert slopes.count("recipes, 3 replicates") == 1  # of all slopes: in the caption
    assert NOT_THERE not in line  # a slope, and the one of the first trunk to compare it with
    study = replace(
        replicated_study(tmp_path / "front", LEVELS),
        pareto=(f"{LOSS}/{LOSS_METRIC}", "quiz/accuracy"),
    )
    front = whole(latex_tables(content_of(collect(study))))[-1]
    assert re.search(r"balanced\\_(\\allowbreak\{\})?pretrain & 2\.\d+ & .* & on the front", front)


def test_what_is_special_in_latex_is_escaped():
    assert escaped("a_b & 5% of $x$ {y} #1 ~ ^ \\") == (
        r"a\_b \& 5\% of \$x\$ \{y\} \#1 \textasciitilde{} \textasciicircum{} \textbackslash{}"
    )


def test_every_character_of_a_table_is_one_that_pdflatex_prints():
    text = "−±–×→∞·σΔα≤≥<>|’“”… é ü ł 中 \u00a0\t[*"
    assert escaped(text).isascii()
    assert escaped("|<5> [1] *") == r"\textbar{}$<$5$>$ {[}1] {*}"
    assert escaped("naïve 中文") == "naive U+4E2DU+6587"


def test_all_characters_that_the_report_writes_have_one_in_latex():
    folder = Path(latex_text.__file__).parent
    written = set("".join(path.read_text() for path in folder.glob("*.py")))
    drawn = {chr(code) for code in range(0x2500, 0x25FF)}  # boxes, in docstrings and the terminal
    assert [one for one in sorted(written - drawn) if "U+" in escaped(one)] == ["中"]  # an example


def test_a_table_wider_than_a_line_has_columns_that_wrap_within_it():
    rows = [["a_long_name_of_a_variant", "−1.000 to +2.000", "not distinguishable from it " * 3]]
    wide = latex_text.table("Wide", "lrl", ("Variant", "95% interval", "Verdict"), rows)
    shares = [float(share) for share in re.findall(r"dimexpr([\d.]+)\\linewidth", wide)]
    assert len(shares) == 3
    assert 0.98 < sum(shares) < 1
    assert shares[1] * 80 >= len("−1.000 to +2.000")  # numbers do not wrap
    assert r"a\_\allowbreak{}long" in wide
    narrow = latex_text.table("Narrow", "lr", ("Variant", "Value"), [("a_b", "1.0")])
    assert r"\begin{longtable}{lr}" in narrow
    assert r"a\_b & 1.0 \\" in narrow


def test_columns_that_say_nothing_are_left_out_and_one_that_repeats_itself_is_in_the_caption():
    rows: list[latex_text.Row] = [
        "code (%)",
        ("a", "1", NOT_THERE, "recipes"),
        ("b", "2", NOT_THERE, NOT_THERE),
    ]
    header = ("Variant", "Value", "Slope", "Between")
    made = latex_text.table("All", "lrrl", header, rows, common="Between")
    assert r"\caption{All. Between: recipes}" in made
    assert "Variant & Value \\\\" in made
    assert r"\multicolumn{2}{l}{\itshape code (\%)} \\*" in made
    other: list[latex_text.Row] = [*rows, ("c", "3", NOT_THERE, "two checkpoints")]
    kept = latex_text.table("All", "lrrl", header, other, common="Between")
    assert "Variant & Value & Between" in kept


def test_there_is_no_table_of_headings_alone():
    assert latex_text.table("Slopes", "lr", ("Trunk", "Slope"), []) == ""
    assert latex_text.table("Slopes", "lr", ("Trunk", "Slope"), ["code"]) == ""


def test_a_difference_that_the_correction_does_not_leave_has_a_dagger(tmp_path):
    content = content_of(collect(replicated_study(tmp_path, LEVELS)))
    certain = latex_tables(content)
    assert r"better \\" in certain
    assert r"\dag" not in certain
    cells = {
        key: replace(cell, adjusted_p=0.06) if cell.difference else cell
        for key, cell in content.comparison.cells.items()
    }
    text = latex_tables(replace(content, comparison=replace(content.comparison, cells=cells)))
    assert r"better\dag{} \\" in text
    assert r"\dag{}: not distinguishable after Holm" in text
    whole(text)


def test_only_recipes_are_called_better(tmp_path):
    text = tables_of(tmp_path / "many", LEVELS)
    assert r"\caption{Registered contrasts. Between: recipes, 3 replicates}" in text
    assert r"confirmed \\" in text
    assert r"\caption{Variants and metrics. Between: recipes, 3 replicates}" in text
    assert r"better \\" in text
    alone = tables_of(tmp_path / "one", {name: of[:1] for name, of in LEVELS.items()})
    assert "Between: two checkpoints" in alone
    assert r"not decided \\" in alone
    assert not re.search("better|worse|confirmed|recipes", alone)
