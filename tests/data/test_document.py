import dataclasses
import json
import pickle

from codepretrain.data.document import Document


def make(name: str, text: str = "x") -> Document:
    return Document(id=name, text=text, source="s", origin="o")


def test_bytes_are_utf8_and_provenance_has_no_text() -> None:
    document = make("a", "né")
    assert document.num_bytes == 3
    assert document.provenance() == {
        "id": "a",
        "source": "s",
        "origin": "o",
        "group": None,
        "language": None,
        "license": None,
        "metadata": {},
        "num_bytes": 3,
    }


def test_a_document_is_the_same_after_it_was_written_as_json() -> None:
    document = dataclasses.replace(
        make("a"), metadata={"path": "a.py"}, other_groups=("repository:b", "repository:c")
    )
    assert Document(**json.loads(json.dumps(dataclasses.asdict(document)))) == document
    assert hash(document) == hash(dataclasses.replace(document, metadata={}))
    assert document.provenance()["metadata"] == {"path": "a.py"}
    assert "other_groups" not in document.provenance()


def test_a_record_gives_the_document_back() -> None:
    document = Document(id="a", text="é", source="s", origin="o", other_groups=("g",))
    assert document.num_bytes == 2  # is kept, and is no field
    record = json.loads(json.dumps(document.record()))
    assert "num_bytes" not in record
    assert Document(**record) == document
    assert pickle.loads(pickle.dumps(document)) == document
