"""The page of a real description: whole, safe, without network, and of any data."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from etils import epath

from codepretrain.report.data_card import render_data_card, write_data_card
from tests.fixtures.described import Described

Description = dict[str, Any]
VOID = {"meta", "wbr", "br", "path", "use", "rect", "line", "circle", "image", "polygon"}


class Balanced(HTMLParser):
    """Checks that every element is closed where it was opened, and collects the text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text = ""
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: Any) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open and "svg" not in self.open:
            self.text += data


def test_the_page_is_whole_and_needs_no_network(description: Description) -> None:
    page = render_data_card(description, written_at="2026-01-02 03:04 UTC")
    text = Balanced(page).text
    for heading in ("Rows", "Lengths", "Languages", "Overlap between sources", "Split"):
        assert f"<h2>{heading}</h2>" in page
    assert "2026-01-02 03:04 UTC" in text
    assert "No group, text or pair of similar texts that was found is on both sides." in text
    assert "<script" not in page
    fetched = re.findall(r'(?:src|href)="([^"]*)"|url\(([^)]*)\)|@import', page)
    assert all((one or other).startswith("#") for one, other in fetched)


def test_every_hash_is_on_the_page(description: Description) -> None:
    page = render_data_card(description, written_at="now")
    for source in description["sources"].values():
        for sha256 in source["sha256"].values():
            assert sha256 in page
    for sha256 in (description["selection_sha256"], description["tokenizer"]["sha256"]):
        assert sha256 in page


def test_text_of_documents_is_no_markup(description: Description) -> None:
    hostile = json.loads(json.dumps(description))
    code = hostile["sources"]["code"]
    code["languages"]["entries"][0]["name"] = "<script>alert(1)</script>"
    for entry in code["fates"]["fates"]:
        if entry["fate"] == "filtered":
            entry["examples"] = ["<img src=x onerror=1>\x1b[2J\u202e"]
    page = render_data_card(hostile, written_at="now")
    Balanced(page)
    assert "<script" not in page
    assert "<img" not in page
    assert "\x1b" not in page
    assert "&lt;img src=x onerror=1&gt;\\x1b[2J\\u202e" in page


def test_a_leak_stands_in_the_first_sentence(description: Description) -> None:
    split = {**description["split"], "holds": False, "texts_on_both_sides": 3}
    page = render_data_card({**description, "split": split}, written_at="now")
    [lead] = re.findall(r'<p class="lead">(.*?)</p>', page)
    assert "The split leaks: 3 texts are on both sides." in lead
    assert 'class="leaks"' in page


def test_page_and_numbers_are_written_together(
    description: Description, tmp_path: Path, memory: epath.Path
) -> None:
    for folder in (tmp_path, memory / "reports"):
        page = write_data_card(description, folder)
        assert page.name == "data.html"
        numbers = json.loads(page.with_name("data.json").read_text())
        assert numbers.pop("written_at").endswith("UTC")
        assert numbers == description
        Balanced(page.read_text())


def test_one_source_and_nothing_held_out(described: Described, description: Description) -> None:
    alone = json.loads(json.dumps(description))
    alone["sources"] = {"prose": alone["sources"]["prose"]}
    alone["sources"]["prose"]["rows"]["validation"] = {
        **dict.fromkeys(alone["sources"]["prose"]["rows"]["validation"], 0),
        "fill": None,
        "bytes_per_token": None,
    }
    totals = {"prose": alone["overlap"]["totals"]["prose"]}
    alone["overlap"] = {"sources": ["prose"], "totals": totals, "pairs": []}
    alone["decontamination"] = {}
    alone["split"] |= {"num_clusters": None, "clusters_on_both_sides": None}
    use = alone["use"]
    use["available"] = {"prose": use["available"]["prose"]}
    for entry in (*use["phases"], *use["variants"]):
        entry["sources"] = {s: e for s, e in entry["sources"].items() if s == "prose"}
    page = Balanced(render_data_card(alone, written_at="now"))
    assert "The study has one source." in page.text
    assert "Similar texts were not searched." in page.text
    assert "from 1 source." in page.text
