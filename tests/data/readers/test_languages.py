import pytest

from codepretrain.data.readers.languages import (
    MARKUP,
    WEB_CODE,
    chosen_languages,
    language_of,
    language_of_file,
)
from codepretrain.errors import UserError


def test_the_lists_of_the_study() -> None:
    assert (len(WEB_CODE), len(MARKUP)) == (25, 10)
    assert not set(WEB_CODE) & set(MARKUP)
    assert chosen_languages("web_code, markup", reader="r") == {*WEB_CODE, *MARKUP}
    assert all(language_of(name) == name for name in (*WEB_CODE, *MARKUP))


@pytest.mark.parametrize(
    ("name", "language"),
    [("C#", "c-sharp"), ("C++", "cpp"), ("Jupyter Notebook", "jupyter-notebook"), ("TeX", "tex")],
)
def test_one_spelling(name: str, language: str) -> None:
    assert language_of(name) == language


@pytest.mark.parametrize(
    ("path", "language"),
    [
        ("a/b.py", "python"),
        ("Makefile", "makefile"),
        ("x/CMakeLists.txt", "cmake"),
        ("A.CPP", "cpp"),
        ("py", None),
        ("a.b/c", None),
        (".py/x.bin", None),
    ],
)
def test_the_language_of_a_file(path: str, language: str | None) -> None:
    assert language_of_file(path) == language


def test_every_language_of_the_study_has_a_file_name() -> None:
    code = "java js php py cs ts c cpp go rb sh kt swift vue rs scala jsx sql dart mk lua hs st tex"
    markup = "md yml json html css scss rst toml sass rmd"
    names = [f"x.{ending}" for ending in f"{code} clj {markup}".split()]
    assert [language_of_file(name) for name in names] == [*WEB_CODE, *MARKUP]


def test_a_misspelled_language_is_named_and_a_rare_one_is_accepted() -> None:
    assert chosen_languages(" ", reader="r") is None
    assert chosen_languages("Zig, C#", reader="r") == {"zig", "c-sharp"}
    near_others = ("sas", "cython", "purescript", "json5", "objective-c++", "literate-haskell")
    assert chosen_languages(", ".join(near_others), reader="r") == {*near_others}
    with pytest.raises(UserError, match=r"reader 'r': languages: there is no 'pyhton'; did you me"):
        chosen_languages("java, pyhton", reader="r")
    with pytest.raises(UserError, match=r"there is no 'webcode'; did you mean web_code"):
        chosen_languages("webcode", reader="r")
