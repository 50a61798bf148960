"""The commands `data describe`, `data show` and `data find`: what a study's data holds."""

import argparse
import dataclasses
import itertools
import shlex
import sys
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from codepretrain.cli.flags import whole_number
from codepretrain.cli.interop import Add
from codepretrain.cli.output import print_json
from codepretrain.cli.prepare_command import prepare_command
from codepretrain.config.parse import suggestion
from codepretrain.config.schema import StudyConfig
from codepretrain.errors import UserError, quoted
from codepretrain.files.writable import check_writable
from codepretrain.printable import printable

if TYPE_CHECKING:
    from codepretrain.data.description.find_text import Hit
    from codepretrain.data.description.show_document import Shown

_SPLITS = ("train", "validation", "dropped")


def add_commands(add: Add) -> None:
    """Adds the commands and their flags to the command line."""
    describe = add("describe", _describe, "count documents, tokens, overlap and repetition")
    describe.add_argument(
        "--html", action="store_true", help="also write reports/<study>/data.html and data.json"
    )
    describe.add_argument("--json", action="store_true", help="print JSON")
    show = add("show", _show, "print one document, and what became of it")
    show.add_argument("source", metavar="SOURCE")
    show.add_argument("number", metavar="N", type=whole_number(0), help="of the source, from 0")
    show.add_argument("--split", choices=_SPLITS, help="count N in this split, as rows do")
    form = show.add_mutually_exclusive_group()
    form.add_argument("--raw", action="store_true", help="write the bytes of the text only")
    form.add_argument("--json", action="store_true", help="print JSON")
    find = add("find", _find, "list documents that contain a text, exactly")
    find.add_argument(
        "text", metavar="TEXT", type=_text, help="after `--` if it begins with a dash"
    )
    find.add_argument("--source", help="search this source only (default: all)")
    find.add_argument("--split", choices=_SPLITS, help="search this split only (default: all)")
    find.add_argument("--max-hits", type=whole_number(1), default=20, help="(default: 20)")
    find.add_argument("--json", action="store_true", help="print JSON")


def _describe(config: StudyConfig, flags: argparse.Namespace, argv: list[str]) -> int:
    from codepretrain.data.description.describe import describe_data
    from codepretrain.data.missing import missing_parts
    from codepretrain.report.data_card import write_data_card
    from codepretrain.report.data_terminal import print_description
    from codepretrain.study.data_use import data_use
    from codepretrain.study.workspace import Workspace

    if flags.html:
        check_writable(flags.workdir, name="--workdir")
    workspace = Workspace(config, flags.workdir)
    _require(missing_parts(config, workspace.data_dir), config, flags, argv)
    description = {
        **describe_data(config, workspace.data_dir),
        "use": data_use(config, workspace.phases, source_sizes=workspace.source_sizes),
        "command": flags.command_line,
    }
    if flags.json:
        print_json(description)
    else:
        print_description(Console(), description)
    if flags.html:
        page = write_data_card(description, flags.workdir / "reports" / config.name)
        print(f"data card: {page}", file=sys.stderr if flags.json else sys.stdout)
    return 0


def _show(config: StudyConfig, flags: argparse.Namespace, argv: list[str]) -> int:
    from codepretrain.data.description.show_document import show_document
    from codepretrain.data.missing import missing_documents
    from codepretrain.rows.data_dir import data_dir

    _check_source(config, "SOURCE", flags.source)
    folder = data_dir(flags.workdir, config)
    _require(missing_documents(config, folder), config, flags, argv)
    shown = show_document(config, folder, flags.source, flags.number, split=flags.split)
    if flags.raw:
        sys.stdout.flush()
        sys.stdout.buffer.write(shown.document.text.encode())
    elif flags.json:
        print_json(_shown_json(shown))
    else:
        _print_document(shown)
    return 0


def _find(config: StudyConfig, flags: argparse.Namespace, argv: list[str]) -> int:
    from codepretrain.data.description.find_text import find_text, num_bytes_to_search
    from codepretrain.data.missing import missing_documents
    from codepretrain.data.progress import progress_display, progress_line
    from codepretrain.rows.data_dir import data_dir

    if flags.source is not None:
        _check_source(config, "--source", flags.source)
    sources = sorted(config.data.sources) if flags.source is None else [flags.source]
    folder = data_dir(flags.workdir, config)
    _require(missing_documents(config, folder), config, flags, argv)
    with progress_display(Console(stderr=True)) as progress:
        total = num_bytes_to_search(folder, sources)
        with progress_line(progress, "searching", total) as advance:
            hits = find_text(
                folder,
                sources,
                flags.text,
                split=flags.split,
                cache_bytes=config.execution.row_cache_bytes,
                advance=advance,
            )
            found = list(itertools.islice(hits, flags.max_hits))
    if flags.json:
        print_json([_hit_json(hit) for hit in found])
    else:
        _print_hits(found, flags)
    return 0


def _text(argument: str) -> str:
    """Returns an argument that is not empty, as it is."""
    if not argument:
        raise argparse.ArgumentTypeError("expected at least one character, got ''")
    return argument


def _check_source(config: StudyConfig, name: str, source: str) -> None:
    if source not in config.data.sources:
        near = suggestion(source, sorted(config.data.sources))
        raise UserError(f"{name}: there is no source {quoted(source)}{near}")


def _require(
    missing: list[str], config: StudyConfig, flags: argparse.Namespace, argv: list[str]
) -> None:
    """Raises UserError with the command that prepares the data, if parts of it are missing."""
    if missing:
        command = shlex.join(["codepretrain", *prepare_command(flags, argv)])
        raise UserError(
            f"the data of study {config.name!r} is not prepared in {flags.workdir}, missing: "
            f"{'; '.join(missing)}: run `{command}`, or give the --workdir and the data settings "
            "that it was prepared with"
        )


def _shown_json(shown: "Shown") -> dict[str, Any]:
    return {
        **dataclasses.asdict(shown.place),
        "kept_copies": [dataclasses.asdict(place) for place in shown.kept],
        "matches": [dataclasses.asdict(match) for match in shown.matches],
        "provenance": shown.document.provenance(),
        "text": shown.document.text,
    }


def _hit_json(hit: "Hit") -> dict[str, Any]:
    return {
        **dataclasses.asdict(hit.place),
        "offset": hit.offset,
        "line": hit.line,
        "count": hit.count,
        "before": hit.before,
        "after": hit.after,
        "provenance": hit.document.provenance(),
    }


def _print_document(shown: "Shown") -> None:
    lines = [shown.place.text]
    what = "similar" if shown.place.fate == "near_duplicate" else "same"
    lines += [f"  the {what} text that is used: {place.text}" for place in shown.kept]
    lines += [
        f"  contains item {printable(match.item, kept='')} of {match.benchmark}: "
        f"{printable(match.example, kept='')}"
        for match in shown.matches
    ]
    provenance = shown.document.provenance()
    metadata = provenance.pop("metadata")
    for name, value in {**provenance, **metadata}.items():
        text = f"{value:,}" if isinstance(value, int) else printable(str(value), kept="")
        lines.append(f"  {printable(name, kept='')}: {'not stated' if value is None else text}")
    print("\n".join(lines), end="\n\n")
    print(printable(shown.document.text))


def _print_hits(hits: "list[Hit]", flags: argparse.Namespace) -> None:
    console = Console(highlight=False)
    for hit in hits:
        times = f", {hit.count:,} times" if hit.count > 1 else ""
        print(f"{hit.place.text}, byte {hit.offset:,}, line {hit.line:,}{times}")
        print(f"  {printable(hit.document.origin, kept='')}")
        snippet = Text("  ")
        snippet.append(printable(hit.before, kept=""))
        snippet.append(printable(flags.text, kept=""), style="bold")
        snippet.append(printable(hit.after, kept=""))
        console.print(snippet, soft_wrap=True)
    if len(hits) == flags.max_hits:
        print(f"stopped after {len(hits):,} documents: raise --max-hits for more")
    elif not hits:
        where = f"source {flags.source!r}" if flags.source else "any source"
        print(f"no document of {where} contains {quoted(flags.text)}")
