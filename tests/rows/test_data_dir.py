import dataclasses
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from codepretrain.config.schema import (
    DeduplicationConfig,
    FilterConfig,
    SourceConfig,
    StudyConfig,
)
from codepretrain.data.items.eval_items import write_items
from codepretrain.errors import UserError
from codepretrain.files.directory import whole_directory
from codepretrain.files.hashing import sha256_json
from codepretrain.files.sealed import read_sealed
from codepretrain.files.storage import StrPath, remove_tree
from codepretrain.rows.data_dir import (
    check_rows,
    data_dir,
    is_prepared,
    reading_settings,
    require_prepared,
    selection_settings,
    settings_hash,
)
from codepretrain.rows.eval_items import load_items_manifest, read_items
from codepretrain.rows.folders import folders_path
from codepretrain.rows.store import open_sources
from codepretrain.rows.vocabulary import (
    TOKENIZER,
    VOCABULARY,
    Vocabulary,
    load_vocabulary,
    tokenizer_directory,
)
from tests.fixtures.sources import write_source


def test_hash_sees_what_changes_rows_and_nothing_else(make_study) -> None:
    config = make_study()
    text = config.data.sources["text"]
    rows = {
        "max_seq_len": 32,
        "packing": "concatenate",
        "part_bytes": 7,
        "validation_fraction": 0.1,
        "tokenizer": {"vocab_size": 300},
        "sources": {"text": dataclasses.replace(text, options={"path": "other"})},
    }
    for field, value in rows.items():
        other = make_study(**{field: value})
        assert settings_hash(other, "text") != settings_hash(config, "text"), field
        assert data_dir(Path(), other) != data_dir(Path(), config), field
    same = make_study(
        sources={
            name: dataclasses.replace(source, num_tokens=5, max_epochs=1.0)
            for name, source in reversed(config.data.sources.items())
        },
    )
    same = dataclasses.replace(same, seed=3, name="other", phases={})
    assert settings_hash(same, "text") == settings_hash(config, "text")
    assert data_dir(Path("w"), same) == data_dir(Path("w"), config)
    assert data_dir(Path("w"), config).parent == Path("w/data")


def test_an_option_that_is_not_used_leaves_prepared_data_valid(make_study) -> None:
    def settings(**chosen: Any) -> dict[str, Any]:
        deduplication = DeduplicationConfig(**chosen)
        return selection_settings(make_study(deduplication=deduplication))["deduplication"]

    assert "keep_near" not in settings()
    assert settings(keep_near=("code",)) == {**settings(), "keep_near": ["code"]}


def test_filters_determine_the_documents_and_the_limit_only_how_many_there_are(make_study) -> None:
    def changed(**fields: Any) -> StudyConfig:
        sources = make_study().data.sources
        text = dataclasses.replace(sources["text"], **fields)
        return make_study(sources={**sources, "text": text})

    options = make_study().data.sources["text"].options
    filtered = [
        changed(filters=(FilterConfig(name="licenses", options={"allowed": allowed}),))
        for allowed in (("MIT",), ("MIT", "ISC"))
    ]
    limited = changed(options={**options, "max_bytes": 1000})
    configs = [make_study(), *filtered, limited]
    reading = [sha256_json(reading_settings(config, "text")) for config in configs]
    assert len({*reading}) == 3
    assert reading[3] == reading[0]
    assert len({settings_hash(config, "text") for config in configs}) == 4
    assert len({settings_hash(config, "code") for config in configs}) == 1


@pytest.mark.parametrize("option", ["scratch_path", "verdicts"])
def test_where_a_reader_keeps_its_own_files_determines_nothing(make_study, option: str) -> None:
    def kept_in(folder: str) -> StudyConfig:
        source = SourceConfig(reader="r", kind="text", options={"path": "a", option: folder})
        return make_study(sources={"text": source})

    assert reading_settings(kept_in("/a"), "text") == reading_settings(kept_in("/b"), "text")
    assert data_dir(Path(), kept_in("/a")) == data_dir(Path(), kept_in("/b"))


def test_a_sources_hash_does_not_depend_on_the_others_but_the_place_does(make_study) -> None:
    config = make_study()
    fewer = make_study(sources={"text": config.data.sources["text"]})
    assert settings_hash(fewer, "text") == settings_hash(config, "text")
    assert data_dir(Path(), fewer) != data_dir(Path(), config)
    kind = make_study(
        sources={**config.data.sources, "text": SourceConfig(reader="jsonl", kind="code")}
    )
    assert data_dir(Path(), kind) != data_dir(Path(), config)


def test_missing_data_says_so(make_study, tmp_path) -> None:
    config = make_study()
    assert not is_prepared(config, tmp_path)
    with pytest.raises(UserError, match=r"no prepared rows at .*codepretrain prepare"):
        require_prepared(config, tmp_path)


def test_prepared_data_is_given_by_source_and_split(prepared_data) -> None:
    assert is_prepared(prepared_data.config, prepared_data.data_dir)
    manifests = require_prepared(prepared_data.config, prepared_data.data_dir)
    assert list(manifests) == [
        ("code", "train"),
        ("code", "validation"),
        ("text", "train"),
        ("text", "validation"),
    ]
    assert manifests == prepared_data.data.rows


def test_it_imports_nothing_heavy() -> None:
    program = (
        "import sys, codepretrain.rows.data_dir, codepretrain.data.prepared\n"
        "heavy = {'tensorflow', 'seqio', 'tokenizers', 'jax'} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.fixture
def copied(prepared_data, tmp_path) -> Path:
    return prepared_data.copy(tmp_path / "data")


def test_items_are_made_again_where_they_are_missing(prepared_data, copied) -> None:
    remove_tree(copied / "evals")
    assert not is_prepared(prepared_data.config, copied)
    with pytest.raises(UserError, match=r"no task items at .*evals: run `codepretrain prepare`"):
        require_prepared(prepared_data.config, copied)


def test_a_missing_list_of_held_out_documents(prepared_data, copied) -> None:
    remove_tree(copied / "held_out")
    assert not is_prepared(prepared_data.config, copied)
    with pytest.raises(UserError, match=r"no list of held-out documents at .*held_out: run"):
        require_prepared(prepared_data.config, copied)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"settings_hash": "s"}, "evals was prepared under other settings: delete it and"),
        ({"tokenizer_hash": "t" * 64}, "evals was made with tokenizer tttttttttttt, .* is "),
        ({"documents_hashes": {}}, "were made from different documents of source 'code'"),
    ],
)
def test_items_made_of_something_else_are_named(prepared_data, copied, changes, message) -> None:
    manifest, _ = load_items_manifest(copied)
    items = {task: read_items(copied, task) for task in manifest.num_items}
    remove_tree(copied / "evals")
    write_items(copied / "evals", items, dataclasses.replace(manifest, **changes))
    with pytest.raises(UserError, match=message):
        require_prepared(prepared_data.config, copied)


def test_another_vocabulary_beside_the_same_tokenizer_is_noticed(prepared_data, copied) -> None:
    directory = tokenizer_directory(copied)
    tokenizer, vocabulary = (directory / TOKENIZER).read_text(), load_vocabulary(copied)
    remove_tree(directory)
    with whole_directory(directory) as folder:
        (folder / TOKENIZER).write_text(tokenizer)
        entries = [*vocabulary.token_bytes[:3], *vocabulary.token_bytes[:2:-1]]
        Vocabulary(entries, bos=1, eos=2, pad=0).save(folder / VOCABULARY)
    load_vocabulary(copied)  # whole in itself
    with pytest.raises(
        UserError, match=r"rows/code-train-\w{12} was packed with another vocabulary.json"
    ):
        is_prepared(prepared_data.config, copied)


def test_settings_that_cannot_be_read_are_named(make_study, copied) -> None:
    (copied / "settings.json").write_text("[]")
    with pytest.raises(UserError, match=rf"{copied}/settings.json is damaged: expected a JSON obj"):
        require_prepared(make_study(max_seq_len=32), copied)


def test_rows_that_are_not_listed_are_not_the_studys(make_study, tmp_path) -> None:
    manifest = write_source(tmp_path, "text", 5)
    with pytest.raises(UserError, match=r"rows.json lists no rows of source 'text': run"):
        check_rows(make_study(), {("text", "train"): manifest}, tmp_path)


def test_the_list_of_rows_is_not_read_for_each_source(prepared_data, monkeypatch) -> None:
    """On an object store every read is a request, and a study may have dozens of sources."""
    config, data_dir = prepared_data.config, prepared_data.data_dir
    reads: list[str] = []

    def counted(path: StrPath, **options: Any) -> tuple[dict[str, Any], str]:
        reads.append(str(path))
        return read_sealed(path, **options)

    monkeypatch.setattr("codepretrain.rows.folders.read_sealed", counted)
    assert is_prepared(config, data_dir)
    assert reads == [str(folders_path(data_dir))] * 3
    reads.clear()
    open_sources(data_dir, config.data.sources, "train")
    assert len(reads) == 1
