"""The selection must be that of the study; evaluation sets must be those it was made with."""

import dataclasses
import io
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from codepretrain.config.schema import DecontaminationConfig, DeduplicationConfig, StudyConfig
from codepretrain.data.prepare import prepare
from codepretrain.data.prepared import check_documents
from codepretrain.data.selection.check import changed_benchmarks, check_selection
from codepretrain.data.selection.selected import load_contamination, load_selection_manifest
from codepretrain.errors import UserError
from codepretrain.rows.data_dir import data_dir as data_dir_of


def check(config: StudyConfig, data_dir: Path, **changes: Any) -> None:
    documents = {s: check_documents(config, data_dir, s) for s in config.data.sources}
    data = dataclasses.replace(config.data, **changes)
    check_selection(dataclasses.replace(config, data=data), data_dir, documents)


def test_other_settings_are_named(prepared_data) -> None:
    config, data_dir = prepared_data.config, prepared_data.data_dir
    check(config, data_dir)
    message = (
        r"selection was made under other settings \(config.data.deduplication.near 'drop_within' "
        r"→ 'keep', config.data.validation_fraction 0.2 → 0.3\); choose another --workdir"
    )
    with pytest.raises(UserError, match=message):
        check(
            config,
            data_dir,
            validation_fraction=0.3,
            deduplication=DeduplicationConfig(near="keep"),
        )
    message = r"decontamination.benchmarks.qa None → 'x.jsonl'"
    with pytest.raises(UserError, match=message):
        check(config, data_dir, decontamination=DecontaminationConfig(benchmarks={"qa": "x.jsonl"}))


def test_other_sources_are_named(prepared_data) -> None:
    config, data_dir = prepared_data.config, prepared_data.data_dir
    documents = {"text": check_documents(config, data_dir, "text")}
    with pytest.raises(UserError, match=r"selection was made from more sources \(code\): delete"):
        check_selection(config, data_dir, documents)


def test_every_selection_setting_names_another_data_directory(make_study, tmp_path) -> None:
    changes: list[dict[str, Any]] = [
        {},
        {"validation_fraction": 0.3},
        {"deduplication": DeduplicationConfig(exact="keep")},
        {"deduplication": DeduplicationConfig(min_similarity=0.8)},
        {"deduplication": DeduplicationConfig(priority=("code",))},
        {"decontamination": DecontaminationConfig(benchmarks={"qa": "x"})},
        {"decontamination": DecontaminationConfig(ngram_words=12)},
    ]
    found = {data_dir_of(tmp_path, make_study(**change)) for change in changes}
    assert len(found) == len(changes)


@pytest.fixture(scope="module")
def items(corpus: Path, tmp_path_factory) -> Path:
    """An evaluation set: words of three prose documents, and an item that is too short."""
    lines = (corpus / "prose.jsonl").read_text(encoding="utf-8").splitlines()
    texts = [" ".join(json.loads(lines[i])["text"].split()[2:18]) for i in (3, 40, 77)]
    path = tmp_path_factory.mktemp("items") / "qa.jsonl"
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in [*texts, "short"]))
    return path


def test_a_study_without_the_text_of_its_evaluation_set(
    make_study, items, tmp_path, monkeypatch
) -> None:
    path = tmp_path / "qa.jsonl"
    path.write_bytes(items.read_bytes())
    config = make_study(decontamination=DecontaminationConfig(benchmarks={"qa": str(path)}))
    workdir = tmp_path / "data" / "study"
    printed = io.StringIO()
    console = Console(file=printed, width=150)
    prepare(config, workdir, num_workers=1, console=console)
    manifest = load_selection_manifest(workdir)
    assert manifest.num_documents["text"]["contaminated"] == 3
    assert (manifest.benchmarks["qa"].num_items, manifest.benchmarks["qa"].num_too_short) == (4, 1)
    report = load_contamination(workdir)
    assert report is not None
    assert report.items["text", "qa"] == {"qa.jsonl:1", "qa.jsonl:2", "qa.jsonl:3"}
    assert "compared with qa: 4 items in 1 files, 1 too short to be sought" in printed.getvalue()
    assert changed_benchmarks(config, workdir) == []

    path.write_text(items.read_text().splitlines()[0])
    message = r"benchmarks.qa: its files changed since .* prepare with --reread-changed"
    with pytest.raises(UserError, match=message):
        prepare(config, workdir, num_workers=1, console=console)
    prepare(config, workdir, num_workers=1, console=console, rereads_changed=True)
    assert load_selection_manifest(workdir).num_documents["text"]["contaminated"] == 1

    path.unlink()
    prepare(config, workdir, num_workers=1, console=console)
    with pytest.raises(UserError, match=r"decontamination.benchmarks.qa: no file matches"):
        prepare(config, tmp_path / "other" / "study", num_workers=1, console=console)
    assert not (tmp_path / "other" / "documents").exists(), "before any work"


def test_a_missing_evaluation_set_does_not_hide_that_another_one_changed(
    make_study, items, tmp_path
) -> None:
    paths = {name: tmp_path / f"{name}.jsonl" for name in ("gone", "kept")}
    for path in paths.values():
        path.write_bytes(items.read_bytes())
    benchmarks = {name: str(path) for name, path in paths.items()}
    config = make_study(decontamination=DecontaminationConfig(benchmarks=benchmarks))
    workdir, console = tmp_path / "data" / "study", Console(file=io.StringIO())
    prepare(config, workdir, num_workers=1, console=console)
    paths["gone"].unlink()
    prepare(config, workdir, num_workers=1, console=console)
    paths["kept"].write_text(items.read_text().splitlines()[0])
    assert changed_benchmarks(config, workdir) == ["kept"]
    with pytest.raises(UserError, match=r"benchmarks.kept: its files changed since"):
        prepare(config, workdir, num_workers=1, console=console)

    with pytest.raises(UserError, match=r"benchmarks.gone: no file matches"):
        prepare(config, workdir, num_workers=1, console=console, rereads_changed=True)
    assert load_selection_manifest(workdir), "nothing is removed that could not be made again"
    paths["gone"].write_bytes(items.read_bytes())
    prepare(config, workdir, num_workers=1, console=console, rereads_changed=True)
    assert changed_benchmarks(config, workdir) == []


def test_changed_raw_files_are_not_read_again_without_the_evaluation_sets(
    make_study, corpus, items, tmp_path
) -> None:
    path = tmp_path / "qa.jsonl"
    path.write_bytes(items.read_bytes())
    raw = Path(shutil.copytree(corpus, tmp_path / "raw"))
    config = make_study(decontamination=DecontaminationConfig(benchmarks={"qa": str(path)}))
    sources = {
        name: dataclasses.replace(chosen, options=moved(chosen.options, corpus, raw))
        for name, chosen in config.data.sources.items()
    }
    config = dataclasses.replace(config, data=dataclasses.replace(config.data, sources=sources))
    workdir, console = tmp_path / "data" / "study", Console(file=io.StringIO())
    prepare(config, workdir, num_workers=1, console=console)
    path.unlink()
    (raw / "code" / "m07.py").write_text("x = 1\n")
    with pytest.raises(UserError, match=r"benchmarks.qa: no file matches"):
        prepare(config, workdir, num_workers=1, console=console, rereads_changed=True)
    assert load_selection_manifest(workdir), "before any work"


def moved(options: Mapping[str, Any], old: Path, new: Path) -> dict[str, Any]:
    return {
        name: value.replace(str(old), str(new)) if isinstance(value, str) else value
        for name, value in options.items()
    }
