"""Languages of rows; the stores are those of prepared data or hold given provenance."""

from types import SimpleNamespace
from typing import Any

import numpy as np

from codepretrain.data.description.languages import Language, source_languages
from codepretrain.rows.manifest import rows_directory
from codepretrain.rows.store import RowStore


class Given:
    """The provenance of some documents, in place of a store."""

    def __init__(self, *languages: str | None) -> None:
        self.languages = languages
        self.manifest = SimpleNamespace(num_documents=len(languages))
        self.asked: list[int] = []

    def document(self, number: int) -> dict[str, Any]:
        self.asked.append(number)
        size = 10 * (number + 1)
        return {"language": self.languages[number], "num_bytes": size, "num_tokens": number + 1}


def test_languages_by_bytes_and_the_rest_summed() -> None:
    stores: Any = [Given("c", "b", None, "a", "b"), Given("d")]
    found = source_languages(stores, max_languages=3)
    assert (found.num_examined, found.num_documents, found.num_languages) == (6, 6, 5)
    assert found.entries == (
        Language(name="b", num_documents=2, num_bytes=70, num_tokens=7),
        Language(name="a", num_documents=1, num_bytes=40, num_tokens=4),
        Language(name=None, num_documents=3, num_bytes=50, num_tokens=5),
    )
    found = source_languages(stores, max_languages=5)
    assert [entry.name for entry in found.entries] == ["b", "a", "", "c", "d"]


def test_a_sample_is_evenly_distributed_and_always_the_same() -> None:
    store: Any = Given(*["x"] * 1000)
    found = source_languages([store], max_documents=10)
    assert (found.num_examined, found.num_documents) == (10, 1000)
    assert [number // 100 for number in store.asked] == list(range(10))
    assert len({number % 100 for number in store.asked}) > 5
    again: Any = Given(*["x"] * 1000)
    source_languages([again], max_documents=10)
    assert again.asked == store.asked


def test_no_documents() -> None:
    store: Any = Given()
    found = source_languages([store])
    assert (found.num_examined, found.num_languages, found.entries) == (0, 0, ())


def test_prepared_rows_add_up(prepared_data) -> None:
    for source, language in {"text": "", "code": "python"}.items():
        stores = [
            RowStore(
                rows_directory(prepared_data.data_dir, source, split), source=source, split=split
            )
            for split in ("train", "validation")
        ]
        found = source_languages(stores)
        [entry] = found.entries
        manifests = [store.manifest for store in stores]
        assert entry == Language(
            name=language,
            num_documents=sum(m.num_documents for m in manifests),
            num_bytes=sum(m.num_bytes for m in manifests),
            num_tokens=sum(m.num_tokens for m in manifests),
        )
        assert np.isfinite(entry.num_bytes / entry.num_tokens)
