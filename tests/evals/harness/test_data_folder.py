import io
from pathlib import Path

import datasets
import pytest

from codepretrain.errors import UserError
from codepretrain.evals.harness.data_folder import DataFolder, read_manifest, write_manifest
from codepretrain.evals.harness.dataset_reference import DatasetReference
from codepretrain.files.hashing import sha256_bytes
from tests.evals.harness.conftest import place

pytestmark = pytest.mark.filterwarnings("default")

REFERENCE = DatasetReference.of("org/set", "part", {"cache_dir": "x", "data_dir": None})
ROWS = [{"text": f"row {n}", "label": n} for n in range(5)]


def parquet() -> bytes:
    buffer = io.BytesIO()
    datasets.Dataset.from_list(ROWS).to_parquet(buffer)
    return buffer.getvalue()


@pytest.fixture
def fetched(tmp_path: Path) -> Path:
    """A folder with one dataset in the manifest."""
    content = parquet()
    (tmp_path / REFERENCE.folder).mkdir()
    (tmp_path / REFERENCE.folder / "test.parquet").write_bytes(content)
    file = {
        "file": f"{REFERENCE.folder}/test.parquet",
        "rows": 5,
        "bytes": len(content),
        "sha256": sha256_bytes(content),
    }
    write_manifest(tmp_path, {REFERENCE.key: {"splits": {"test": file}}})
    return tmp_path


def test_folders_of_datasets() -> None:
    assert REFERENCE.folder == "org--set--part"
    assert DatasetReference.of("a/b", None, {}).folder == "a--b"
    assert DatasetReference.of("../../etc", None, {}).folder == "etc"
    other = DatasetReference.of("a/b", None, {"revision": "r"}).folder
    assert other.startswith("a--b--")
    assert other != DatasetReference.of("a/b", None, {"revision": "s"}).folder


def test_a_split_that_was_fetched(fetched: Path) -> None:
    data = DataFolder(fetched)
    assert list(data.splits(REFERENCE)) == ["test"]
    assert data.read(REFERENCE, "test", limit=None).to_list() == ROWS
    assert data.read(REFERENCE, "test", limit=2).to_list() == ROWS[:2]


def test_a_missing_file_and_one_of_another_size_are_named_without_reading(fetched: Path) -> None:
    path = fetched / REFERENCE.folder / "test.parquet"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UserError, match=r"test\.parquet has .* bytes, expected"):
        DataFolder(fetched).splits(REFERENCE)
    path.unlink()
    with pytest.raises(UserError, match=r"test\.parquet is missing"):
        DataFolder(fetched).splits(REFERENCE)


def test_a_changed_byte_is_noticed_when_the_file_is_read(fetched: Path) -> None:
    path = fetched / REFERENCE.folder / "test.parquet"
    content = bytearray(path.read_bytes())
    content[20] ^= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"test\.parquet is damaged: it is not the file fetched"):
        DataFolder(fetched).read(REFERENCE, "test", limit=None)


def test_an_altered_manifest_is_noticed(fetched: Path) -> None:
    path = fetched / "manifest.json"
    path.write_text(path.read_text().replace('"rows": 5', '"rows": 6'))
    with pytest.raises(UserError, match=r"manifest\.json was altered"):
        DataFolder(fetched)


def test_files_placed_by_hand(tmp_path: Path) -> None:
    directory = place(tmp_path, "org/set", {"test": ROWS}, "part")
    (directory / "validation-00000-of-00001.parquet").write_bytes(parquet())
    data = DataFolder(tmp_path)
    assert sorted(data.splits(REFERENCE)) == ["test", "validation"]
    for split in ("test", "validation"):
        assert data.read(REFERENCE, split, limit=None).to_list() == ROWS
    (directory / "test.jsonl").write_text('{"text": ')
    with pytest.raises(UserError, match=r"test\.jsonl is damaged"):
        data.read(REFERENCE, "test", limit=None)
    (directory / "validation-00000-of-00001.parquet").write_bytes(b"PAR1")
    with pytest.raises(UserError, match=r"parquet is damaged"):
        data.read(REFERENCE, "validation", limit=None)


def test_no_folder_and_no_dataset(tmp_path: Path) -> None:
    assert read_manifest(tmp_path) == {}
    with pytest.raises(UserError, match=r"no data of org/set \(part\) in its folder org--set"):
        DataFolder(tmp_path).splits(REFERENCE)
    with pytest.raises(UserError, match=r"there is no folder .*none with the data of tasks"):
        DataFolder(tmp_path / "none")
