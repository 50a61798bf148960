from pathlib import Path

from codepretrain.files.hold_errors import in_use


def test_the_error_names_the_folder_and_its_holder(tmp_path: Path) -> None:
    message = str(in_use(tmp_path / "runs", "process 7 on host"))
    assert message.startswith(f"{tmp_path / 'runs'} is in use by process 7 on host: wait for it")
