from codepretrain.data.document import Document, is_validation


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


def test_held_out_share_is_the_fraction_and_grows_with_it() -> None:
    documents = [make(str(n)) for n in range(4000)]
    small, large = (
        {document.id for document in documents if is_validation(document, fraction)}
        for fraction in (0.05, 0.2)
    )
    assert 150 < len(small) < 250
    assert 700 < len(large) < 900
    assert small < large
    assert not any(is_validation(document, 0.0) for document in documents)


def test_held_out_depends_on_id_and_text() -> None:
    by_text = {is_validation(make("a", str(n)), 0.5) for n in range(20)}
    by_id = {is_validation(make(str(n)), 0.5) for n in range(20)}
    assert by_text == by_id == {True, False}
