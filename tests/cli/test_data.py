"""`data describe`, `data show` and `data find` as a user runs them, on real prepared data."""

import argparse
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from codepretrain.cli.main import main
from codepretrain.data.selection.selected import split_documents
from codepretrain.rows.manifest import rows_directory
from codepretrain.rows.store import RowStore
from tests.conftest import ROOT, run_command
from tests.fixtures.described import ANSWER, ODD, Described

Capture = pytest.CaptureFixture[str]


def run(described: Described, command: str, *arguments: str, workdir: Path | None = None) -> int:
    where = ["--config", str(described.folder / "study.py")]
    where += ["--workdir", str(workdir or described.workdir)]
    return main(["data", command, *where, *arguments])


def fails(capsys: Capture, described: Described, *arguments: str, **fields: Any) -> str:
    """Returns the one line of complaint."""
    assert run(described, *arguments, **fields) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    return captured.err


def number_of(described: Described, source: str, text: str) -> int:
    """Returns the number of a document in the file of its source."""
    lines = (described.folder / f"{source}.jsonl").read_text(encoding="utf-8").splitlines()
    texts = [line["text"] for line in map(json.loads, lines) if "text" in line]
    return texts.index(text)


def test_describe_as_text_and_as_json(
    capsys: Capture, described: Described, description: dict[str, Any]
) -> None:
    assert run(described, "describe") == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    assert "No group, text or pair of similar texts that was found is on both sides" in captured.out
    assert run(described, "describe", "--json") == 0
    captured = capsys.readouterr()
    found = json.loads(captured.out)
    assert found.pop("command").startswith("codepretrain data describe --config ")
    for entries in found["use"], description["use"]:
        assert len(entries["phases"]) == len(entries["variants"]) == 2
    assert sorted(map(str, found.pop("use")["variants"])) == sorted(
        map(str, description["use"]["variants"])
    )
    assert found == {key: description[key] for key in found}
    assert not (described.workdir / "reports").exists(), "only --html writes"


def test_the_card_is_written_and_named(
    capsys: Capture, described: Described, tmp_path: Path
) -> None:
    workdir = Path(shutil.copytree(described.workdir, tmp_path / "workdir"))
    assert run(described, "describe", "--html", "--json", workdir=workdir) == 0
    captured = capsys.readouterr()
    page = workdir / "reports" / "described" / "data.html"
    assert captured.err == f"data card: {page}\n"
    assert json.loads(captured.out)["study"] == "described"
    assert json.loads(page.with_suffix(".json").read_text())["study"] == "described"
    assert "<h1>described</h1>" in page.read_text()


@pytest.mark.parametrize("command", [["describe"], ["show", "prose", "0"], ["find", "x"]])
def test_data_that_is_not_prepared(
    capsys: Capture, described: Described, tmp_path: Path, command: list[str]
) -> None:
    """The command that the message names prepares it."""
    workdir = tmp_path / "new folder"
    line = fails(
        capsys,
        described,
        *command,
        "--config.data.validation_fraction=0.3",
        workdir=workdir,
    )
    assert "missing: documents of code, notes, prose; selection" in line
    assert (
        f"run `codepretrain prepare --config {described.folder}/study.py --workdir '{workdir}' "
        "--config.data.validation_fraction=0.3`"
    ) in line
    assert not workdir.exists()


def test_parts_that_are_missing_are_named(
    capsys: Capture, described: Described, tmp_path: Path
) -> None:
    """Documents can be shown before rows are packed."""
    workdir = Path(shutil.copytree(described.workdir, tmp_path / "workdir"))
    [study] = [path.parent for path in workdir.rglob("settings.json")]
    shutil.rmtree(study / "evals")
    line = fails(capsys, described, "describe", workdir=workdir)
    assert "missing: evaluation items: run" in line
    assert run(described, "show", "prose", "0", workdir=workdir) == 0
    capsys.readouterr()
    shutil.rmtree(study / "selection")
    line = fails(capsys, described, "show", "prose", "0", workdir=workdir)
    assert "missing: selection: run" in line


def test_odd_characters_are_escaped_and_raw_bytes_are_whole(
    capfdbinary: pytest.CaptureFixture[bytes], described: Described
) -> None:
    number = str(number_of(described, "prose", ODD))
    assert run(described, "show", "prose", number) == 0
    shown = capfdbinary.readouterr().out.decode()
    escaped = "naïve 東京 🙂 \\x1b[2J\\r\nright \\u202eto left\\x00 <b>bold</b> $x_1$"
    assert shown.endswith(f"\n\n{escaped}\n")
    assert "\n  origin: prose.jsonl:" in shown
    assert "\n  language: not stated\n" in shown
    assert "metadata" not in shown, "it has none"
    assert run(described, "show", "prose", number, "--raw") == 0
    captured = capfdbinary.readouterr()
    assert captured.out == ODD.encode()
    assert captured.err == b""


def test_json_of_a_document(capsys: Capture, described: Described) -> None:
    number = number_of(described, "prose", ODD)
    assert run(described, "show", "prose", str(number), "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["source"], found["number"], found["kept_copies"]) == ("prose", number, [])
    assert found["provenance"]["id"] == "odd"
    assert found["provenance"]["num_bytes"] == len(found["text"].encode())
    assert found["text"] == ODD


def test_numbers_in_a_split_are_those_of_the_rows(capsys: Capture, described: Described) -> None:
    for split in ("train", "validation"):
        directory = rows_directory(described.data_dir, "code", split)
        store = RowStore(directory, source="code", split=split)
        last = store.manifest.num_documents - 1
        assert run(described, "show", "code", str(last), "--split", split, "--json") == 0
        found = json.loads(capsys.readouterr().out)
        assert found["provenance"]["id"] == store.document(last)["id"]
        assert (found["split"], found["number_in_split"]) == (split, last)
        documents = list(split_documents(described.data_dir, source="code", split=split))
        assert found["text"] == documents[-1].text


def test_dropped_documents_say_why(capsys: Capture, described: Described) -> None:
    contaminated = number_of(described, "prose", f"So: {ANSWER}.")
    assert run(described, "show", "prose", str(contaminated)) == 0
    shown = capsys.readouterr().out
    assert f"document {contaminated} of prose: dropped as contaminated" in shown
    assert "\n  contains item 1 of quiz: an answer of the quiz that nobody" in shown


def test_a_near_duplicate_names_the_document_that_is_used(
    capsys: Capture, described: Described
) -> None:
    """Of the two, either may be dropped."""
    lines = (described.folder / "prose.jsonl").read_text(encoding="utf-8").splitlines()
    original = json.loads(lines[9])["text"]
    numbers = [number_of(described, "prose", text) for text in (original, f"{original} and more")]
    shown = []
    for number in numbers:
        assert run(described, "show", "prose", str(number)) == 0
        shown.append(capsys.readouterr().out)
    [dropped] = [i for i in range(2) if "dropped as near duplicate" in shown[i]]
    other = f"  the similar text that is used: document {numbers[1 - dropped]} of prose: "
    assert other in shown[dropped]
    assert "that is used" not in shown[1 - dropped]


def test_an_exact_duplicate_names_the_document_that_is_used(
    capsys: Capture, described: Described
) -> None:
    for number in range(10):
        assert run(described, "show", "prose", str(number), "--split", "dropped") == 0
        shown = capsys.readouterr().out
        if "dropped as exact duplicate" in shown:
            assert "  the same text that is used: document " in shown
            return
    raise AssertionError("no exact duplicate was shown")


def test_hits_with_place_origin_and_text(capsys: Capture, described: Described) -> None:
    assert run(described, "find", ANSWER) == 0
    captured = capsys.readouterr()
    number = number_of(described, "prose", f"So: {ANSWER}.")
    place, origin, snippet = captured.out.splitlines()
    assert place.startswith(f"document {number} of prose: dropped as contaminated (number ")
    assert place.endswith("of dropped), byte 4, line 1")
    assert origin.startswith("  prose.jsonl:")
    assert snippet == f"  So: {ANSWER}."
    assert "searching" in captured.err


def test_hits_are_limited_escaped_and_of_one_source(capsys: Capture, described: Described) -> None:
    assert run(described, "find", "a", "--max-hits=2", "--source=notes") == 0
    out = capsys.readouterr().out
    assert out.count(" of notes: ") == 2
    assert "prose" not in out
    assert out.endswith("stopped after 2 documents: raise --max-hits for more\n")
    assert run(described, "find", "\x1b[2J") == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "naïve 東京 🙂 \\x1b[2J\\r\\nright \\u202eto left" in out
    assert run(described, "find", "no such text") == 0
    assert capsys.readouterr().out == "no document of any source contains 'no such text'\n"


def test_the_byte_of_a_hit_is_that_of_the_raw_text(
    capfdbinary: pytest.CaptureFixture[bytes], described: Described
) -> None:
    assert run(described, "find", "right", "--source", "prose", "--json") == 0
    [hit] = json.loads(capfdbinary.readouterr().out)
    assert run(described, "show", "prose", str(hit["number"]), "--raw") == 0
    raw = capfdbinary.readouterr().out
    assert raw[hit["offset"] :].startswith(b"right")
    assert (hit["line"], hit["count"]) == (2, 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["show", "pros", "0"], "SOURCE: there is no source 'pros'; did you mean prose?"),
        (["show", "xyz", "0"], "there is no source 'xyz'; expected one of: code, notes, prose"),
        (["find", "x", "--source", "cod"], "--source: there is no source 'cod'; did you mean"),
        (["show", "notes", "80"], "source 'notes' has documents 0 to 79, got 80"),
        (["show", "notes", "0", "--split=dropped"], "split 'dropped' of source 'notes' has no doc"),
        (["show", "notes", "-1"], "expected a whole number, at least 0"),
        (["show", "notes", "x"], "expected a whole number, at least 0, got 'x'"),
        (["show", "notes"], "the following arguments are required: N"),
        (["show", "notes", "0", "1"], "unknown argument '1'"),
        (["show", "notes", "0", "--split=test"], "invalid choice: 'test'"),
        (["show", "notes", "0", "--raw", "--json"], "not allowed with argument --raw"),
        (["find", ""], "TEXT: expected at least one character, got ''"),
        (["find", "x", "--max-hits=0"], "--max-hits: expected a whole number, at least 1"),
        (["find", "x", "--maxhits=1"], "'--maxhits=1'; did you mean --max-hits?"),
        (["describe", "--htm"], "unknown argument '--htm'; did you mean --html?"),
    ],
)
def test_mistakes(
    capsys: Capture, described: Described, arguments: list[str], message: str
) -> None:
    assert message in fails(capsys, described, *arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["data"], "the following arguments are required: command"),
        (["data", "fnd"], "there is no command 'data fnd'; did you mean find?"),
        (["data", "x"], "there is no command 'data x'; expected one of: describe, show, find"),
        (["data", "--config", "x"], "expected a command before '--config': describe, show, find"),
        (["data", "find"], "the following arguments are required: --config, TEXT"),
        (
            ["data", "find", "x", "--confg=F"],
            "unknown argument '--confg=F'; did you mean --config?",
        ),
        (["plan", "--confg", "F"], "unknown argument '--confg'; did you mean --config?"),
        (["plan", "--config.seed", "1"], "the following arguments are required: --config"),
        (["find"], "there is no command 'find'"),
    ],
)
def test_mistakes_in_the_grammar(capsys: Capture, arguments: list[str], message: str) -> None:
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.err.count("\n") == 1


def test_a_misspelled_flag_is_found_whatever_argparse_says(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(argparse, "_", lambda text: text.replace("are required", "are needed"))
    assert main(["plan"]) == 2
    assert "are needed: --config" in capsys.readouterr().err
    assert main(["plan", "--confg", "F"]) == 2
    assert "unknown argument '--confg'; did you mean --config?" in capsys.readouterr().err


def test_help_of_the_group(capsys: Capture) -> None:
    with pytest.raises(SystemExit):
        main(["data", "--help"])
    out = capsys.readouterr().out
    assert all(name in out for name in ("describe", "show", "find"))


def test_a_text_that_begins_with_a_dash(capsys: Capture, described: Described) -> None:
    assert run(described, "find", "--", "--nowhere") == 0
    assert "contains '--nowhere'" in capsys.readouterr().out


def test_in_a_process_of_its_own(described: Described) -> None:
    """In ASCII, and into a pipe that is closed early."""
    where = ["--config", str(described.folder / "study.py"), "--workdir", str(described.workdir)]
    command = [sys.executable, "-m", "codepretrain", "data"]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    number = str(number_of(described, "prose", ODD))
    for arguments in (["describe"], ["describe", "--json"], ["show", "prose", number]):
        result = subprocess.run(
            [*command, *arguments, *where],
            capture_output=True,
            text=True,
            cwd=ROOT,
            env=environment,
        )
        assert result.returncode == 0, result.stderr
        assert result.stdout.isascii()
    raw = subprocess.run(
        [*command, "show", "prose", number, "--raw", *where],
        capture_output=True,
        cwd=ROOT,
        env=environment,
    )
    assert raw.stdout == ODD.encode()


def test_describe_of_a_folder_that_cannot_be_written(
    capsys: Capture, described: Described, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    line = fails(capsys, described, "describe", "--html", workdir=tmp_path / "file" / "workdir")
    assert str(tmp_path / "file") in line


def test_data_on_an_object_store(described: Described, gcs: Any, tmp_path: Path) -> None:
    """Prepared there by the command, described, shown and searched there."""
    where: list[str | Path] = ["--config", described.folder / "study.py", "--workdir", str(gcs)]
    prepared = run_command("prepare", *where, "--num-workers=1")
    assert prepared.returncode == 0, prepared.stderr
    found = run_command("data", "describe", "--html", "--json", *where)
    assert found.returncode == 0, found.stderr
    assert json.loads(found.stdout)["split"]["holds"]
    assert f"data card: {gcs}/reports/described/data.html" in found.stderr
    assert "<h1>described</h1>" in (gcs / "reports/described/data.html").read_text()
    number = str(number_of(described, "prose", f"So: {ANSWER}."))
    shown = run_command("data", "show", "prose", number, *where)
    assert "dropped as contaminated" in shown.stdout
    hits = run_command("data", "find", ANSWER, *where, "--json")
    assert [hit["number"] for hit in json.loads(hits.stdout)] == [int(number)]
