from dataclasses import replace

from codepretrain.report.page import render


def test_the_caution_is_there_only_with_a_comparison(results, comparison):
    def has_caution(shown):
        return 'class="caution"' in render(results, shown, pairs=[], written_at="now")

    assert has_caution(comparison)
    assert not has_caution(replace(comparison, baseline=None, cells={}))
