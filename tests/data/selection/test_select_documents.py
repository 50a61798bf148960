"""The stage as a whole: nothing leaks, whatever the order, the parts and the workers."""

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from codepretrain.config.schema import DecontaminationConfig, DeduplicationConfig, SourceConfig
from codepretrain.data.deduplicate.minhash import ngrams_of, similarity
from codepretrain.data.description.leaks import split_proof
from codepretrain.data.document import Document, Skipped
from codepretrain.data.engines.engine import local_engine
from codepretrain.data.readers import make_reader
from codepretrain.data.reading import part_plan
from codepretrain.data.reading.documents import open_documents
from codepretrain.data.selection import scan_part as scan_part_module
from codepretrain.data.selection import select_documents as select_module
from codepretrain.data.selection.document_codes import CODES
from codepretrain.data.selection.links import load_joins
from codepretrain.data.selection.scan_documents import scan_directory
from codepretrain.data.selection.selected import (
    has_selection,
    load_contamination,
    load_selection,
    load_selection_manifest,
    selection_directory,
    selection_hash,
)
from codepretrain.errors import UserError
from codepretrain.files.hashing import sha256_file
from codepretrain.files.storage import sizes_below
from codepretrain.rows.format import SPLITS
from tests.data.deduplicate.corpora import fresh_words, pair
from tests.fixtures.documents import Given, read
from tests.fixtures.selecting import given, members, select, shared

ACROSS = DeduplicationConfig(exact="drop_across", near="drop_across")


def codes_by_id(data_dir, source: str) -> dict[str, str]:
    """The name of the code of each document."""
    documents = open_documents(data_dir, source).read()
    codes = load_selection(data_dir, source)
    return {d.id: CODES[code] for d, code in zip(documents, codes, strict=True)}


def files_of(data_dir) -> dict[str, str]:
    directory = selection_directory(data_dir)
    return {name: sha256_file(directory / name) for name in sizes_below(directory)}


def test_the_demos_corpora_share_no_group_and_no_text(tmp_path) -> None:
    sources = {"text": "python_prose", "code": "python_code"}
    for source, reader in sources.items():
        options = {"max_bytes": 4_000_000}
        chosen = SourceConfig(reader=reader, kind="text", options=options)
        read(tmp_path / "s", source, make_reader(source, chosen))
    select(tmp_path / "s", *sorted(sources), fraction=0.2)
    found = {s: {split: members(tmp_path / "s", s, split) for split in SPLITS} for s in sources}
    files = {s: {d.group for d in found[s]["validation"]} - {None} for s in sources}
    assert len(files["text"] & files["code"]) > 5, "docstrings and code of the same held-out files"
    assert shared(tmp_path / "s", list(sources)) == (set(), set())


def records(path: Path, *fields: str, seed: int) -> str:
    """Writes 60 records, each field a text of its own."""
    rng = random.Random(seed)
    lines = [
        json.dumps({field: " ".join(fresh_words(rng, 20)) for field in fields}) for _ in range(60)
    ]
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join(lines))
    return str(path)


def read_lines(data_dir: Path, source: str, path: str, **options: str) -> None:
    chosen = SourceConfig(reader="jsonl", kind="text", options={"path": path, **options})
    read(data_dir, source, make_reader(source, chosen))


def test_lines_of_different_files_of_one_name_have_nothing_in_common(tmp_path) -> None:
    for seed, source in enumerate("ab"):
        path = records(tmp_path / source / "train.jsonl", "text", seed=seed)
        read_lines(tmp_path / "s", source, path)
    manifest = select(tmp_path / "s", "a", "b", fraction=0.5)
    assert (manifest.num_components, manifest.num_joins) == (120, 0)
    found = [{d.id for d in members(tmp_path / "s", source, "validation")} for source in "ab"]
    assert found[0] != found[1]
    assert all(15 < len(some) < 45 for some in found)
    groups = [set(open_documents(tmp_path / "s", s).keys()["group"].tolist()) for s in "ab"]
    assert groups[0].isdisjoint(groups[1])


def test_fields_of_one_record_that_two_sources_read_follow_one_split(tmp_path) -> None:
    path = records(tmp_path / "raw" / "train.jsonl", "question", "answer", seed=0)
    read_lines(tmp_path / "s", "a", path, text_field="question")
    read_lines(tmp_path / "s", "b", path, text_field="answer")
    read_lines(tmp_path / "s", "c", records(tmp_path / "other" / "train.jsonl", "text", seed=1))
    manifest = select(tmp_path / "s", "a", "b", "c", fraction=0.5)
    assert (manifest.num_components, manifest.num_joins) == (120, 60)
    found = {s: {d.id for d in members(tmp_path / "s", s, "validation")} for s in "abc"}
    assert 15 < len(found["a"]) < 45
    assert found["a"] == found["b"] != found["c"]
    proof = split_proof(
        {s: open_documents(tmp_path / "s", s).keys() for s in "abc"},
        {s: load_selection(tmp_path / "s", s) for s in "abc"},
        None,
        load_joins(selection_directory(tmp_path / "s")),
    )
    assert (proof.num_joined, proof.joined_on_both_sides, proof.holds) == (60, 0, True)


def test_a_text_in_two_sources_takes_both_groups_along(tmp_path) -> None:
    n = 60
    documents: Any = {
        "a": [(f"a{i}/{k}", f"a{i}", f"text {i} {k} of a") for i in range(n) for k in range(2)],
        "b": [(f"b{i}", f"b{i}", f"text {i} 0 of a") for i in range(n)],
        "c": [(f"c{i}/{k}", f"b{i}", f"text {i} {k} of c") for i in range(n) for k in range(2)],
    }
    given(tmp_path / "s", documents)
    select(tmp_path / "s", "a", "b", "c", fraction=0.5)
    assert shared(tmp_path / "s", ["a", "b", "c"]) == (set(), set())
    held_out = {d.id[1:] for d in members(tmp_path / "s", "b", "validation")}
    assert 15 < len(held_out) < 45
    for source in ("a", "c"):
        names = {d.id[1:].split("/")[0] for d in members(tmp_path / "s", source, "validation")}
        assert names == held_out


def test_a_document_of_several_groups_takes_all_of_them_along(tmp_path) -> None:
    """As a commit that is in several forks; one over the source's limit takes none along."""
    n = 60
    commits = [(f"c{i}", f"r{i}|f{i}|g{i}", f"commit {i:04}") for i in range(n)]
    beyond = [(f"x{i}", f"r{i}|r{(i + 1) % n}", f"commit of all {i}") for i in range(n)]
    documents = (*commits, *beyond)
    limited = Given(documents=documents, max_bytes=n * len("commit 0000"))
    read(tmp_path / "s", "a", limited)
    files: Any = {
        "b": [(f"b{i}{k}", f"{k}{i}", f"file {i} of {k}") for i in range(n) for k in "fg"]
    }
    given(tmp_path / "s", files)
    select(tmp_path / "s", "a", "b", fraction=0.5)
    held_out = {d.id[1:] for d in members(tmp_path / "s", "a", "validation")}
    assert 15 < len(held_out) < 45
    found = {d.id[1:] for d in members(tmp_path / "s", "b", "validation")}
    assert found == {f"{number}{kind}" for number in held_out for kind in "fg"}


def test_the_group_of_a_dropped_duplicate_follows_the_text_that_was_kept(tmp_path) -> None:
    documents = [(f"kept{i}", f"kept{i}", f"text {i}") for i in range(60)]
    documents += [(f"twin{i}", f"twin{i}", f"text {i}") for i in range(60)]
    others = [
        (f"b{i}", f"{kind}{i}", f"{kind} {i}") for i in range(60) for kind in ("kept", "twin")
    ]
    given(tmp_path / "s", {"a": documents, "b": others})
    manifest = select(tmp_path / "s", "a", "b", fraction=0.5)
    assert manifest.num_documents["a"]["exact_duplicate"] == 60
    assert shared(tmp_path / "s", ["a", "b"]) == (set(), set())
    held_out = [d.id for d in members(tmp_path / "s", "b", "validation")]
    assert len(held_out) == 2 * len(set(held_out))
    kept = {d.id[4:] for d in members(tmp_path / "s", "a", "validation")}
    assert kept == {name[1:] for name in held_out}


def near_duplicates(num_pairs: int = 80) -> dict[str, list[tuple[str, str | None, str]]]:
    """Pairs of a text in `a` and a similar one in `b`; each group has another text in `c`."""
    rng = random.Random(0)
    pairs = [pair(rng, 0.85, num_ngrams=80) for _ in range(num_pairs)]
    return {
        "a": [(f"a{i}", f"a{i}", one) for i, (one, _) in enumerate(pairs)]
        + [(f"own{i}", None, f"own {i}") for i in range(5)],
        "b": [(f"b{i}", f"b{i}", other) for i, (_, other) in enumerate(pairs)],
        "c": [
            (f"{s}{i}", f"{s}{i}", " ".join(fresh_words(rng, 20)))
            for i in range(num_pairs)
            for s in "ab"
        ],
    }


@pytest.mark.parametrize("near", ["ignore", "keep", "drop_within", "drop_across"])
def test_similar_texts_are_on_one_side_and_dropped_as_configured(tmp_path, near: str) -> None:
    given(tmp_path / "s", near_duplicates())
    settings = DeduplicationConfig(near=near, priority=("b",))
    manifest = select(tmp_path / "s", "a", "b", "c", fraction=0.5, deduplication=settings)
    sides = codes_by_id(tmp_path / "s", "c")
    differ = sum(sides[f"a{i}"] != sides[f"b{i}"] for i in range(80))
    if near == "ignore":
        assert 20 < differ < 60
        assert manifest.num_near_pairs == 0
    else:
        assert differ == 0
        assert (manifest.num_near_pairs, manifest.num_clusters, manifest.num_joins) == (80, 80, 80)
    dropped = {"a": 80, "b": 0, "c": 0} if near == "drop_across" else {"a": 0, "b": 0, "c": 0}
    found = {source: counts["near_duplicate"] for source, counts in manifest.num_documents.items()}
    assert found == dropped
    for i, code in enumerate(codes_by_id(tmp_path / "s", "b").values()):
        assert code == sides[f"b{i}"]


def mixed(seed: int) -> dict[str, list[tuple[str, str | None, str]]]:
    """Random texts of two sources: similar, equal, with groups and without, of three in each."""
    rng = random.Random(3)
    found: dict[str, list[tuple[str, str | None, str]]] = {"a": [], "b": []}
    for number in range(60):
        texts = list(pair(rng, rng.choice([0.3, 0.6, 0.8, 0.9]), num_ngrams=60))
        texts += rng.choices(texts, k=rng.randrange(3))
        for i, text in enumerate(texts):
            group = rng.choice([None, f"g{rng.randrange(100)}"])
            found[rng.choice("ab")].append((f"{number}.{i}", group, text))
    for source, some in found.items():
        found[source] = random.Random(f"{seed}{source}").sample(some, len(some))
    return found


@pytest.fixture
def small_parts(monkeypatch) -> None:
    """Every shard is a part."""
    monkeypatch.setattr(part_plan, "PART_BYTES", 1)


@pytest.fixture(scope="module")
def benchmark_file(tmp_path_factory) -> Path:
    """An evaluation set: 15 words from each of five documents of `mixed`."""
    lines = [text.split() for _, _, text in mixed(0)["a"][:5]]
    path = tmp_path_factory.mktemp("benchmark") / "qa.jsonl"
    items = [f'{{"id": {i}, "text": "{" ".join(w[10:25]).upper()}"}}' for i, w in enumerate(lines)]
    path.write_text("\n".join(items))
    return path


def test_nothing_leaks_and_everything_adds_up(tmp_path, benchmark_file) -> None:
    """Exact similarity of all pairs; the estimate is at most 0.1 off, 3.5 standard errors."""
    given(tmp_path / "s", mixed(0))
    manifest = select(
        tmp_path / "s",
        "a",
        "b",
        fraction=0.4,
        decontamination=DecontaminationConfig(benchmarks={"qa": str(benchmark_file)}),
    )
    assert shared(tmp_path / "s", ["a", "b"]) == (set(), set())
    ngrams = {
        split: [
            ngrams_of(d.text, 5) for source in "ab" for d in members(tmp_path / "s", source, split)
        ]
        for split in SPLITS
    }
    assert min(map(len, ngrams.values())) > 20
    highest = max(similarity(a, b) for a in ngrams["train"] for b in ngrams["validation"])
    assert 0.5 < highest < 0.8
    for source in "ab":
        documents = list(open_documents(tmp_path / "s", source).read())
        names = codes_by_id(tmp_path / "s", source)
        counts, sizes = (dict.fromkeys(CODES, 0) for _ in range(2))
        for document in documents:
            counts[names[document.id]] += 1
            sizes[names[document.id]] += document.num_bytes
        assert manifest.num_documents[source] == counts
        assert manifest.num_bytes[source] == sizes
        assert sum(counts.values()) == len(documents)
    assert all(
        sum(manifest.num_documents[source][code] for source in "ab") > 0
        for code in ("exact_duplicate", "near_duplicate", "contaminated", "train", "validation")
    )
    report = load_contamination(tmp_path / "s")
    assert report is not None
    assert report.documents["a", "qa"].documents == manifest.num_documents["a"]["contaminated"]
    assert report.items["a", "qa"] == set("01234")
    assert manifest.benchmarks["qa"].num_items == 5
    assert not scan_directory(tmp_path / "s").exists()


@pytest.mark.usefixtures("small_parts")
def test_order_parts_and_workers_do_not_matter(tmp_path, benchmark_file) -> None:
    """And a document keeps its code, except that of equal texts in a group the first is kept."""
    decontamination = DecontaminationConfig(benchmarks={"qa": str(benchmark_file)})
    found: list[Any] = []
    for name, seed, per_shard, num_workers in (
        ("one", 0, 1000, 1),
        ("parts", 0, 7, 1),
        ("workers", 0, 7, 2),
        ("order", 1, 11, 1),
    ):
        given(tmp_path / name / "s", mixed(seed), per_shard=per_shard)
        with local_engine(num_workers) as engine:
            manifest = select(
                tmp_path / name / "s",
                *("a", "b"),
                engine=engine,
                fraction=0.4,
                deduplication=ACROSS,
                decontamination=decontamination,
            )
        texts = {
            (source, d.group, d.text, code)
            for source in "ab"
            for d, code in zip(
                open_documents(tmp_path / name / "s", source).read(),
                load_selection(tmp_path / name / "s", source).tolist(),
                strict=True,
            )
        }
        report = load_contamination(tmp_path / name / "s")
        assert report is not None
        found.append((texts, manifest.num_documents, manifest.num_joins, report.to_json()))
        if name != "one":
            assert len(open_documents(tmp_path / name / "s", "a").manifest.parts) > 1
    assert found[0] == found[1] == found[2] == found[3]
    assert files_of(tmp_path / "parts" / "s") == files_of(tmp_path / "workers" / "s")


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("call", [1, 4])
def test_killed_while_parts_are_scanned_it_resumes(
    tmp_path, benchmark_file, monkeypatch, call: int
) -> None:
    settings: Any = {
        "fraction": 0.4,
        "decontamination": DecontaminationConfig(benchmarks={"qa": str(benchmark_file)}),
    }
    for name in ("whole", "killed"):
        given(tmp_path / name / "s", mixed(0), per_shard=13)
    select(tmp_path / "whole" / "s", "a", "b", **settings)
    calls: list[str] = []
    original = scan_part_module._scan

    def interrupted(task, folder) -> None:
        calls.append(task.directory)
        if len(calls) == call:
            raise KeyboardInterrupt
        original(task, folder)

    with monkeypatch.context() as patch:
        patch.setattr(scan_part_module, "_scan", interrupted)
        with pytest.raises(KeyboardInterrupt):
            select(tmp_path / "killed" / "s", "a", "b", **settings)
        finished = calls[:-1]
        assert len(finished) == call - 1
        assert not has_selection(tmp_path / "killed" / "s")
        select(tmp_path / "killed" / "s", "a", "b", **settings)
    assert not set(calls[call:]) & set(finished), "finished parts are not scanned again"
    assert files_of(tmp_path / "killed" / "s") == files_of(tmp_path / "whole" / "s")
    assert {p.name for p in (tmp_path / "killed" / "s").iterdir()} == {
        p.name for p in (tmp_path / "whole" / "s").iterdir()
    }


def test_killed_while_it_is_written_it_resumes(tmp_path, monkeypatch) -> None:
    given(tmp_path / "s", mixed(0))

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(select_module, "remove_scan", interrupted)
        with pytest.raises(KeyboardInterrupt):
            select(tmp_path / "s", "a", "b", fraction=0.4)
    before = files_of(tmp_path / "s")
    assert has_selection(tmp_path / "s")
    select(tmp_path / "s", "a", "b", fraction=0.4)
    assert files_of(tmp_path / "s") == before


@pytest.mark.usefixtures("small_parts")
def test_data_in_an_object_store_gives_the_same(memory, tmp_path, benchmark_file) -> None:
    settings: Any = {
        "fraction": 0.4,
        "decontamination": DecontaminationConfig(benchmarks={"qa": str(benchmark_file)}),
    }
    for data_dir in (memory / "data" / "s", tmp_path / "s"):
        given(data_dir, mixed(0), per_shard=13)
        select(data_dir, "a", "b", **settings)
    assert files_of(memory / "data" / "s") == files_of(tmp_path / "s")
    assert not any(name.startswith("s/selection-scan") for name in sizes_below(memory / "data"))


def test_documents_over_the_limit_are_left_out(tmp_path) -> None:
    documents = tuple((f"{i}", None, f"text number {i:03}") for i in range(100))
    reader = Given(documents=documents, per_shard=10, max_bytes=15 * 44 + 1)
    read(tmp_path / "s", "a", reader)
    manifest = select(tmp_path / "s", "a", fraction=0.3)
    counts = manifest.num_documents["a"]
    assert counts["over_limit"] == open_documents(tmp_path / "s", "a").manifest.num_documents - 45
    assert counts["over_limit"] > 0
    assert counts["train"] + counts["validation"] == 45
    names = {d.id for split in SPLITS for d in members(tmp_path / "s", "a", split)}
    assert names == {str(i) for i in range(45)}


def test_the_split_of_a_source_does_not_depend_on_unrelated_sources(tmp_path) -> None:
    a, b = ([(f"{s}{i}", None, f"{s} {i}") for i in range(300)] for s in "ab")
    given(tmp_path / "one" / "s", {"a": a})
    given(tmp_path / "two" / "s", {"a": a, "b": b})
    one = select(tmp_path / "one" / "s", "a", fraction=0.3)
    two = select(tmp_path / "two" / "s", "a", "b", fraction=0.3)
    assert one.split_hashes["a"] == two.split_hashes["a"]
    hashes = {split: selection_hash(tmp_path / "one" / "s", "a", split) for split in SPLITS}
    assert hashes == one.split_hashes["a"]
    assert len(set(hashes.values())) == 2
    (tmp_path / "one" / "s" / "selection").rename(tmp_path / "former")
    other = select(tmp_path / "one" / "s", "a", fraction=0.4)
    assert not set(other.split_hashes["a"].values()) & set(hashes.values())


def test_a_group_larger_than_the_held_out_share_is_trained_on(tmp_path) -> None:
    documents: list[Any] = [(f"big{i}", "big", f"big {i}") for i in range(400)]
    documents += [(f"{i}", None, f"text {i}") for i in range(400)]
    given(tmp_path / "s", {"a": documents})
    manifest = select(tmp_path / "s", "a", fraction=0.45)
    assert manifest.num_too_large == 400
    assert sum(manifest.num_documents["a"].values()) == 800
    assert not any(d.group for d in members(tmp_path / "s", "a", "validation"))


def test_a_source_without_training_documents_is_an_error(tmp_path) -> None:
    documents: Any = {
        "a": [("1", "g", "x"), ("2", "h", "x")],
        "b": [(f"{i}", None, f"{i}") for i in range(9)],
    }
    given(tmp_path / "s", documents)
    message = (
        r"sources.a has no training documents; its 2 documents are: 1 validation, 1 exact "
        r"duplicate; a group, such as a repository, is held out whole: add documents of"
    )
    with pytest.raises(UserError, match=message):
        select(tmp_path / "s", "a", "b", fraction=0.9999999)
    assert not has_selection(tmp_path / "s")


@dataclass(frozen=True, kw_only=True)
class Forks(Given):
    """Documents of group `g<n>` are also of group `h<n>`."""

    def read(self, shard: int, source: str) -> Iterator[Document | Skipped]:
        for document in super().read(shard, source):
            assert isinstance(document, Document)
            assert document.group is not None
            yield replace(document, other_groups=(f"h{document.group[1:]}",))


@pytest.mark.parametrize("near", ["ignore", "drop_within"])
def test_other_groups_of_a_document_follow_its_split(tmp_path, near: str) -> None:
    """Also those of a dropped copy."""
    forks = tuple((f"{i}", f"g{i}", "the same" if i < 30 else f"text {i}") for i in range(100))
    read(tmp_path / "s", "a", Forks(documents=forks))
    given(tmp_path / "s", {"b": [(f"{i}", f"h{i}", f"another {i}") for i in range(100)]})
    settings = DeduplicationConfig(near=near)
    manifest = select(tmp_path / "s", "a", "b", fraction=0.5, deduplication=settings)
    assert manifest.num_joins == 129
    codes, others = (codes_by_id(tmp_path / "s", source) for source in "ab")
    assert all(others[name] == code for name, code in codes.items() if int(name) >= 30)
    assert len({others[str(i)] for i in range(30)}) == 1
    assert 20 < list(others.values()).count("validation") < 80


def test_documents_are_not_sketched_if_similar_texts_are_ignored(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(scan_part_module, "sketch", None)
    given(tmp_path / "s", mixed(0))
    settings = DeduplicationConfig(near="ignore")
    manifest = select(tmp_path / "s", "a", "b", fraction=0.4, deduplication=settings)
    assert sum(counts["exact_duplicate"] for counts in manifest.num_documents.values()) > 5
    assert load_contamination(tmp_path / "s") is None
    assert load_selection_manifest(tmp_path / "s") == manifest
