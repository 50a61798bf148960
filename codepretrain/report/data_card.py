"""The data card: the description of a study's data as one self-contained HTML page."""

from datetime import UTC, datetime
from typing import Any

from etils import epath

from codepretrain.files.atomic import write_json, write_text
from codepretrain.files.storage import StrPath
from codepretrain.printable import printable
from codepretrain.report import data_findings, data_plots, data_tables
from codepretrain.report.data_matrices import overlap_matrices
from codepretrain.report.data_tables import Description
from codepretrain.report.templates import environment
from codepretrain.report.wording import NOT_THERE, bytes_text, tokens_text


def write_data_card(description: Description, folder: StrPath) -> epath.Path:
    """Writes `data.html` and `data.json`, both atomically, and returns the page's path."""
    written_at = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    page = epath.Path(folder) / "data.html"
    write_json(page.with_name("data.json"), {**description, "written_at": written_at})
    write_text(page, render_data_card(description, written_at=written_at))
    return page


def render_data_card(description: Description, *, written_at: str) -> str:
    """Returns the page's HTML."""
    return (
        environment()
        .get_template("data_page.html")
        .render(
            d=description,
            all=data_tables.ALL,
            written_at=written_at,
            lead=_lead(description),
            details=_details(description),
            notices=[
                *data_findings.warning_lines(description),
                *data_findings.limit_lines(description),
            ],
            split_sentence=data_findings.split_sentence(description),
            sampled_lines=data_findings.sampled_lines(description),
            overlap_matrices=overlap_matrices(description),
            **_tables(description),
            **_figures(description),
        )
    )


def _tables(description: Description) -> dict[str, Any]:
    reasons = data_tables.reason_rows(description)
    for row in reasons:
        row["examples"] = [printable(example, kept="") for example in row["examples"][:10]]
    return {
        "document_table": data_tables.document_table(description),
        "byte_table": data_tables.byte_table(description),
        "reason_rows": reasons,
        "dropped_rows": data_tables.dropped_language_rows(description),
        "row_table": data_tables.row_table(description),
        "length_table": data_tables.length_table(description),
        "language_table": data_tables.language_table(description),
        "path_table": data_tables.path_table(description),
        "phase_table": data_tables.phase_table(description),
        "split_table": data_tables.split_table(description),
        "benchmark_table": data_tables.benchmark_table(description),
    }


def _figures(description: Description) -> dict[str, Any]:
    return {
        "fate_svg": data_plots.fate_figure(description),
        "fates": data_plots.fates_in(description),
        "length_svg": data_plots.length_figure(description),
        "language_svg": data_plots.language_figure(description),
        "mixture_svg": data_plots.mixture_figure(description),
    }


def _lead(description: Description) -> str:
    sources = description["sources"]
    tokens, num_bytes = (_total(description, "train", f) for f in ("num_tokens", "num_bytes"))
    count = f"{len(sources)} source" + ("s" if len(sources) > 1 else "")
    return (
        f"{tokens_text(tokens)} tokens to train on, {bytes_text(num_bytes)} of text from {count}. "
        f"{data_findings.split_sentence(description)}"
    )


def _details(description: Description) -> dict[str, str]:
    found = {}
    for split, name in (("train", "training"), ("validation", "held-out")):
        found[f"{name} documents"] = f"{_total(description, split, 'num_documents'):,}"
        found[f"{name} tokens"] = tokens_text(_total(description, split, "num_tokens"))
    tokens = _total(description, "train", "num_tokens")
    ratio = _total(description, "train", "num_bytes") / tokens if tokens else None
    return {**found, "bytes per token": NOT_THERE if ratio is None else f"{ratio:.2f}"}


def _total(description: Description, split: str, field: str) -> int:
    return sum(source["rows"][split][field] for source in description["sources"].values())
