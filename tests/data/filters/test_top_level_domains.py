from codepretrain.data.filters.top_level_domains import _COUNTRIES
from tests.data.filters.documents import reason

COUNTRIES = _COUNTRIES.split()
LIST = ["com", "org", "net", *COUNTRIES]


def test_a_run_of_30_domains_is_a_list() -> None:
    assert len(set(LIST)) == 251
    for separator in ("|", "', '.", "\n"):
        assert reason("top_level_domains", separator.join(LIST[:30])) == "top_level_domains"
        assert reason("top_level_domains", separator.join(LIST[:29])) is None
    assert reason("top_level_domains", ",".join(LIST[:29] + LIST[:29])) is None, "different ones"
    assert reason("top_level_domains", ",".join([*LIST[:29], "x", *LIST[29:31]])) is None, "a run"


def test_lists_of_countries_are_kept() -> None:
    assert reason("top_level_domains", ",".join(COUNTRIES)) is None
    assert reason("top_level_domains", ",".join(["com", "org", *COUNTRIES])) is None


def test_the_complete_list_has_names_between() -> None:
    marks = ["com", "org", "net", "arpa"]
    for number, expected in ((196, "top_level_domains"), (195, None)):
        text = " brand ".join(marks + COUNTRIES[:number])
        assert reason("top_level_domains", text) == expected
    assert reason("top_level_domains", " brand ".join(["com", "org", "net", *COUNTRIES])) is None


def test_case_does_not_count() -> None:
    assert reason("top_level_domains", "|".join(LIST[:30]).upper()) == "top_level_domains"
