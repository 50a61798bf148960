import pytest

from tests.conftest import TINY

FILES = {
    "exits.py": b"raise SystemExit(0)",
    "raises.py": b"def get_config():\n    raise BaseException('no')",
    "binary.py": bytes(range(256)),
    "syntax.py": b"def get_config(:",
    "recursion.py": b"def f():\n    f()\nf()",
    "arguments.py": b"def get_config(a, b):\n    pass",
    "empty.py": b"",
}


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What the placeholders of the cases stand for (`mistakes.py`)."""
    root = tmp_path_factory.mktemp("hostile")
    folder, new = root / "folder", root / "new"
    folder.mkdir()
    for name, content in FILES.items():
        (folder / name).write_bytes(content)
    (root / "file").write_text("x")
    (root / "loop").symlink_to(root / "loop")
    names = {name: str(root / name) for name in ("folder", "new", "file", "loop")}
    return {**names, "tiny": str(TINY), "c": f"--config {TINY} --workdir {new}"}
