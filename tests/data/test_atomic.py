import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from codepretrain.data.atomic import atomic_directory, explained_errors
from codepretrain.errors import UserError
from codepretrain.files.lock import exclusive


def test_directory_appears_when_the_block_ends_well(tmp_path) -> None:
    path = tmp_path / "deep" / "rows"
    with atomic_directory(path) as partial:
        (partial / "a").write_text("1")
        assert not path.exists()
    assert (path / "a").read_text() == "1"
    assert [p.name for p in path.parent.iterdir()] == ["rows"]


def test_a_failed_block_leaves_nothing_and_what_a_killed_one_left_is_removed(tmp_path) -> None:
    path = tmp_path / "rows"
    partial = tmp_path / ".rows.partial"
    with pytest.raises(KeyboardInterrupt), atomic_directory(path) as given:
        _interrupt(given / "a")
    assert not list(tmp_path.iterdir())
    partial.mkdir()
    (partial / "stale").write_text("")
    path.mkdir()  # without its manifest: the caller found it incomplete
    (path / "stale").write_text("")
    with atomic_directory(path) as partial:
        (partial / "a").write_text("1")
    assert [p.name for p in path.iterdir()] == ["a"]


def _interrupt(path: Path) -> None:
    path.write_text("half")
    raise KeyboardInterrupt


@pytest.mark.parametrize("kind", [OSError, RuntimeError])
def test_a_full_disk_is_told_in_one_line(tmp_path, kind) -> None:
    words = os.strerror(errno.ENOSPC)
    error = (
        OSError(errno.ENOSPC, words) if kind is OSError else RuntimeError(f"write(): {words}; at 9")
    )
    message = r"cannot write .*/rows: No space left on device; free some space and give the same"
    with pytest.raises(UserError, match=message), atomic_directory(tmp_path / "rows"):
        raise error
    assert not list(tmp_path.iterdir())


def test_other_errors_pass_unchanged(tmp_path) -> None:
    with pytest.raises(RuntimeError, match="our own"), explained_errors(tmp_path):
        raise RuntimeError("our own")
    with pytest.raises(FileNotFoundError), explained_errors(tmp_path):
        (tmp_path / "absent").read_text()


def test_one_process_at_a_time(tmp_path) -> None:
    program = (
        "import sys; from pathlib import Path\n"
        "from codepretrain.files.lock import exclusive\n"
        "with exclusive(Path(sys.argv[1])): pass\n"
    )

    def other() -> subprocess.CompletedProcess:
        command = [sys.executable, "-c", program, str(tmp_path)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    with exclusive(tmp_path):
        assert "is in use by process" in other().stderr
    assert other().returncode == 0
