import pytest

from codepretrain.data.readers.names import listed
from codepretrain.errors import UserError


def test_names_are_separated_by_commas() -> None:
    assert listed(" a,b ,, a", reader="r", option="o", valid=("a", "b", "c")) == {"a", "b"}
    assert listed("", reader="r", option="o", valid=()) == frozenset()


def test_an_unknown_name_is_told_with_the_nearest() -> None:
    with pytest.raises(UserError, match=r"reader 'r': o: there is no 'gitub'; did you mean github"):
        listed("gitub", reader="r", option="o", valid=("github", "books"))
