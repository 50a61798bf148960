from tests.data.readers.reading import read, reader


def test_python_prose_of_this_interpreter() -> None:
    documents, skipped = read(reader("python_prose"), 3)
    kinds = {document.id.split("/")[0] for document in documents}
    assert kinds == {"topics", "descriptions", "docstrings"}
    assert {item.reason for item in skipped} <= {"no description", "no docstrings"}
    topic = next(document for document in documents if document.id == "topics/lambda")
    assert "Lambda expressions" in topic.text
    assert topic.license == "PSF-2.0"
    only = reader("python_prose", includes_docstrings=False, includes_descriptions=False)
    assert {d.id.split("/")[0] for d in read(only)[0]} == {"topics"}
