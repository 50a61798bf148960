from tests.data.readers.reading import read, reader


def test_python_code_of_this_interpreter() -> None:
    made = reader("python_code")
    documents, skipped = read(made, 2)
    assert len(documents) + len(skipped) == 2 * 64
    assert {document.language for document in documents} == {"python"}
    assert {item.reason for item in skipped} <= {
        "generated",
        "not Python of this version",
        "not UTF-8",
    }
    roots = {document.id.split("/")[0] for document in documents}
    assert roots == {"stdlib", "site-packages"}
    whole = {d.id: d.text for d in read(reader("python_code", strips_docstrings=False), 2)[0]}
    assert whole.keys() == {document.id for document in documents}
    assert sum(map(len, whole.values())) > sum(len(document.text) for document in documents)
