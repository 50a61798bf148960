from codepretrain.report.templates import breakable, environment


def test_names_may_break_and_are_escaped() -> None:
    assert breakable("a_b/<c>") == "a_<wbr>b/<wbr>&lt;c&gt;"


def test_pages_know_the_colors_and_escape_text() -> None:
    template = environment().from_string("{{ light_sources[0] }} {{ text }} {{ name | spaced }}")
    assert template.render(text="<b>", name="a_b") == "#332288 &lt;b&gt; a b"
