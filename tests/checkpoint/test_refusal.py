"""What is told when the storage refuses."""

import errno

import pytest
from etils import epath

from codepretrain.checkpoint.refusal import check_names, explained_save
from codepretrain.errors import UserError


def test_a_full_disk_in_the_words_of_the_system_and_of_tensorstore() -> None:
    words = "RESOURCE_EXHAUSTED: Error writing: No space left on device [os_error_code='28']"
    for error in (OSError(errno.ENOSPC, "x"), ValueError(words), RuntimeError("failed")):
        error.__cause__ = ValueError(words) if "failed" in str(error) else None
        with pytest.raises(UserError, match=r"^no space left for the checkpoint run/3: "):  # noqa: SIM117
            with explained_save("run/3"):
                raise error


def test_other_refusals_and_our_own_errors() -> None:
    with (
        pytest.raises(UserError, match="run/3 cannot be written: Permission"),
        explained_save("run/3"),
    ):
        raise OSError(errno.EACCES, "Permission denied")
    with pytest.raises(UserError, match=r"^as it is$"), explained_save("run/3"):
        raise UserError("as it is")
    with pytest.raises(TypeError) as bug, explained_save("run/3"):
        raise TypeError("bug")
    assert bug.value.__notes__ == ["while saving the checkpoint run/3"]


@pytest.mark.parametrize("name", ["study [1]", "a]b", "back\\slash"])
def test_folders_below_which_orbax_cannot_read(name: str) -> None:
    with pytest.raises(UserError, match=r"^--workdir /x/.* Orbax cannot read checkpoints below"):
        check_names(epath.Path("/x") / name / "runs", name="--workdir")


@pytest.mark.parametrize("name", ["a b", "{x}", "ü", "%20", "a*b", "a?", "#1", "it's", "$HOME"])
def test_other_names_are_allowed(name: str) -> None:
    check_names(epath.Path("/x") / name, name="--workdir")
