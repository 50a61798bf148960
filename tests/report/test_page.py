from dataclasses import replace

from codepretrain.report.page import breakable, render


def test_names_may_break_and_are_escaped():
    assert breakable("a_b/<c>") == "a_<wbr>b/<wbr>&lt;c&gt;"


def test_the_caution_is_there_only_with_a_comparison(results, comparison):
    def has_caution(shown):
        return 'class="caution"' in render(results, shown, pairs=[], written_at="now")

    assert has_caution(comparison)
    assert not has_caution(replace(comparison, baseline=None, cells={}))
