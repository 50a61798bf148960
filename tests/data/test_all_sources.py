"""One command prepares a source of every reader: each raw record is accounted for."""

import json
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

import pytest
from etils import epath

from codepretrain.config.schema import StudyConfig
from codepretrain.data.document import Document
from codepretrain.data.filters.drop_report import DropReport
from codepretrain.data.prepared import PreparedData, load_prepared
from codepretrain.data.readers import READERS
from codepretrain.data.selection.selected import split_documents
from codepretrain.data.selection.table import COLUMNS, selection_counts
from codepretrain.rows.data_dir import data_dir
from codepretrain.rows.format import SPLITS
from tests.conftest import Command
from tests.fixtures.raw_corpora import LEAKED, write_corpora
from tests.fixtures.raw_study import COUNTS, raw_study

_STUDY = """
from pathlib import Path

from codepretrain.config.load import to_config_dict
from tests.fixtures.raw_study import raw_study


def get_config():
    return to_config_dict(raw_study(Path({corpora!r})))
"""


@dataclass(frozen=True)
class Made:
    """A study file, and the data that the command prepared."""

    file: Path
    workdir: Path
    config: StudyConfig
    folder: epath.Path
    data: PreparedData


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, command: Command) -> Made:
    root = tmp_path_factory.mktemp("all_sources")
    write_corpora(root / "corpora")
    file = root / "study.py"
    file.write_text(dedent(_STUDY.format(corpora=str(root / "corpora"))))
    return _prepare(command, file, root / "workdir", num_workers=2)


def _prepare(command: Command, file: Path, workdir: Path, *, num_workers: int) -> Made:
    where = ("--config", file, "--workdir", workdir)
    result = command("prepare", *where, f"--num-workers={num_workers}")
    assert result.returncode == 0, result.stderr
    config = raw_study(file.parent / "corpora")
    folder = data_dir(workdir, config)
    return Made(file, workdir, config, folder, load_prepared(config, folder))


def test_every_reader_and_three_repositories_are_sources(made: Made) -> None:
    sources = made.config.data.sources
    made_up = {"controlled"}  # its documents are generated: there are no files to read
    assert {source.reader for source in sources.values()} == set(READERS) - made_up
    assert set(sources) == {*COUNTS, "packages", "docstrings"}
    repositories = (made.file.parent / "corpora/repositories").iterdir()
    assert sum((path / ".git").is_dir() for path in repositories) == 3


@pytest.mark.parametrize("source", COUNTS)
def test_counts_are_those_made_by_hand(made: Made, source: str) -> None:
    expected, manifest = COUNTS[source], made.data.documents[source]
    assert dict(manifest.skipped) == expected.skipped
    dropped = DropReport.from_json(manifest.drop_report).dropped
    filtered: defaultdict[tuple[str, str], int] = defaultdict(int)
    for key, tally in dropped.items():
        filtered[key.filter, key.reason] += tally.documents
    assert filtered == expected.filtered
    counts = selection_counts(made.data.documents, made.data.selection)[source]
    assert counts["read"] == expected.read
    for code in ("exact_duplicate", "near_duplicate", "contaminated"):
        assert counts[code] == getattr(expected, code), code
    assert (counts["over_limit"], counts["train"] + counts["validation"]) == (0, expected.used)


def test_redactions_are_counted(made: Made) -> None:
    report = DropReport.from_json(made.data.documents["web_code"].drop_report)
    assert report.redacted == {
        ("web_code", "emails", ""): 1,
        ("web_code", "emails", "email"): 1,
    }


def test_counts_of_every_source_add_up_from_the_raw_records_to_the_rows(made: Made) -> None:
    counts = selection_counts(made.data.documents, made.data.selection)
    assert set(counts) == set(made.config.data.sources)
    for source, found in counts.items():
        assert found["read"] > 0, source
        assert found["read"] == sum(found[name] for name in COLUMNS), source
        for split in SPLITS:
            documents = list(split_documents(made.folder, source=source, split=split))
            rows = made.data.rows[source, split]
            assert len(documents) == found[split] == rows.num_documents, (source, split)
            assert sum(document.num_bytes for document in documents) == rows.num_bytes


def _used(made: Made) -> list[tuple[str, Document]]:
    return [
        (split, document)
        for source in made.config.data.sources
        for split in SPLITS
        for document in split_documents(made.folder, source=source, split=split)
    ]


def test_no_group_and_no_text_is_on_both_sides(made: Made) -> None:
    sides = defaultdict(set)
    used = _used(made)
    for split, document in used:
        own = document.group or f"{document.source}:{document.id}"
        for name in (own, *document.other_groups, f"text:{document.text}"):
            sides[name].add(split)
    assert {split for split, _ in used} == set(SPLITS)
    assert [name for name, splits in sides.items() if len(splits) > 1] == []


def test_what_different_sources_cut_from_one_thing_has_one_group(made: Made) -> None:
    sources = defaultdict(set)
    for _, document in _used(made):
        sources[document.group].add(document.source)
    own = {"own_files", "own_notebooks", "own_history"}
    assert sources["repository:github.com/acme/alpha"] == {"issues", *own}
    stack = {"web_code", "markup", "commitpack", "parsed_notebooks", "stack_issues"}
    assert sources["repository:github.com/owner1/project1"] == stack


def test_no_used_text_contains_the_evaluation_set(made: Made) -> None:
    assert not any(LEAKED in document.text for _, document in _used(made))


def test_one_worker_gives_the_same_documents_and_rows(
    made: Made, command: Command, tmp_path: Path
) -> None:
    again = _prepare(command, made.file, tmp_path, num_workers=1).data
    assert again.selection == made.data.selection
    assert again.rows == made.data.rows
    assert again.tokenizer_hash == made.data.tokenizer_hash
    for source, documents in made.data.documents.items():
        assert again.documents[source].parts == documents.parts


def test_the_description_proves_the_split(made: Made, command: Command) -> None:
    where = ("--config", made.file, "--workdir", made.workdir)
    result = command("data", "describe", *where, "--json")
    assert result.returncode == 0, result.stderr
    description = json.loads(result.stdout)
    on_both = {
        name: count for name, count in description["split"].items() if name.endswith("both_sides")
    }
    assert len(on_both) == 4
    assert not any(on_both.values())
    for name, found in description["sources"].items():
        fates = found["fates"]
        total = sum(entry["num_documents"] for entry in fates["fates"])
        assert fates["num_read"] == total, name
