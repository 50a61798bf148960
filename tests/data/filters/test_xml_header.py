from tests.data.filters.documents import reason

HEADER = "<?xml version="


def test_within_the_first_100_characters_but_in_xslt() -> None:
    assert reason("xml_header", " " * 86 + HEADER) == "xml_header"
    assert reason("xml_header", " " * 87 + HEADER) is None
    assert reason("xml_header", HEADER, "xslt") is None
    assert reason("xml_header", HEADER, "Java") == "xml_header"
