import gzip
import re
from pathlib import Path

import pytest

from codepretrain.config.schema import DecontaminationConfig
from codepretrain.data.decontaminate import EvaluationText
from codepretrain.data.decontaminate.benchmarks import MissingBenchmarkError, read_benchmarks
from codepretrain.errors import UserError


def read(**benchmarks: object):
    return read_benchmarks(
        DecontaminationConfig(benchmarks={name: str(path) for name, path in benchmarks.items()})
    )


def test_files_of_a_glob_and_ids(tmp_path: Path) -> None:
    (tmp_path / "b.jsonl").write_text(
        '{"text": "x y", "id": 7}\n\n{"text": "z", "id": "n", "k": 1}'
    )
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(b'{"text": "\\u00e9"}\n'))
    found = read(qa=tmp_path / "*.jsonl*", code=tmp_path / "b.jsonl")
    assert found["qa"].texts == (
        EvaluationText("qa", "a.jsonl.gz:1", "é"),
        EvaluationText("qa", "7", "x y"),
        EvaluationText("qa", "n", "z"),
    )
    assert [one.num_files for one in found.values()] == [1, 2]
    assert list(found) == ["code", "qa"]


def test_the_hash_is_that_of_names_and_contents(tmp_path: Path) -> None:
    path = tmp_path / "b.jsonl"
    path.write_text('{"text": "x"}')
    before = read(qa=path)["qa"].sha256
    (tmp_path / "elsewhere").mkdir()
    other = path.rename(tmp_path / "elsewhere" / "b.jsonl")
    assert read(qa=other)["qa"].sha256 == before
    other.write_text('{"text": "y"}')
    assert read(qa=other)["qa"].sha256 != before


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            '{"text": "x"}\n{"txt": "y", "n": 1}',
            ":2: expected a text in field 'text', found the fields n, txt",
        ),
        ('{"text": ["x"]}', ":1: expected a text in field 'text', found ['x']"),
        (
            '{"text": "x", "id": null}\n{"text": "x", "id": [1]}',
            ":2: expected a text or a number in field 'id', found [1]",
        ),
        ('{"text": "x"}\nnot json', ":2: expected a JSON object with a field 'text'"),
        ("\n", "' has no items: expected an object per line"),
    ],
)
def test_malformed_files(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "b.jsonl").write_text(content)
    with pytest.raises(UserError, match=re.escape(message)) as caught:
        read(qa=tmp_path / "b.jsonl")
    assert str(caught.value).startswith("config.data.decontamination.benchmarks.qa: ")
    assert not isinstance(caught.value, MissingBenchmarkError)


def test_every_missing_file_is_named_at_once(tmp_path: Path) -> None:
    message = (
        f"config.data.decontamination.benchmarks.a: no file matches '{tmp_path}/a.jsonl'; "
        f"config.data.decontamination.benchmarks.b: no file matches '{tmp_path}/*.jsonl'"
    )
    with pytest.raises(MissingBenchmarkError, match=re.escape(message)):
        read(a=tmp_path / "a.jsonl", b=tmp_path / "*.jsonl")
