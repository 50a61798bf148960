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
        "num_bytes": 3,
    }
