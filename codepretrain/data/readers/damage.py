"""Which reasons for skipping mean that raw material is damaged, and how much of that is accepted.

Damaged is what the reader cannot make sense of: it is not in its format, it is cut, or it lacks a
field. What an option leaves out (a language, a set, merges) is not damaged, nor is a document that
is empty, binary or a duplicate.
"""

from collections.abc import Mapping

from codepretrain.data.document import counted_reasons
from codepretrain.errors import UserError

_DAMAGE = frozenset(
    (
        # Files and lines.
        *("not UTF-8", "not valid Unicode", "larger than 64 MiB", "not a regular file"),
        *("damaged compression: the rest of the file", "line longer than 64 MiB"),
        *("not JSON", "not a JSON object", "not JSON: the rest of the file"),
        *("value longer than 64 MiB", "value longer than 64 MiB: the rest of the file"),
        *("not Parquet, or the file is cut", "damaged row group"),
        # Documents made of parts.
        *("not a notebook", "not an issue", "a message without role or content"),
        *("a message that is not text", "not a row of XML", "post longer than 1 MiB"),
        *("post without its id or its question's", "post with an id seen before"),
        "post with an id or a score that is no number",
        # Repositories.
        *("broken git object", "tree with too many files", "repository without this revision"),
        # Candidate solutions.
        *("line longer than 16 MiB", "no text in `solution` or `teacher`", "not a problem"),
        "`license` is not text",
    )
)
_DAMAGE_BEGINNINGS = ("no field ", "field ", "unreadable: ")


def is_damage(reason: str) -> bool:
    """Returns whether what was skipped for this reason is damaged."""
    return reason in _DAMAGE or reason.startswith(_DAMAGE_BEGINNINGS)


def check_damage(
    source: str,
    *,
    max_share: float,
    num_records: int,
    skipped: Mapping[str, int],
    examples: Mapping[str, str],
) -> None:
    """Refuses a source of which too much is damaged.

    Args:
      max_share: the reader's `max_damaged_share`.
      num_records: all that was read: documents, whatever became of them, and skipped material.
      skipped: reason → count.
      examples: reason → place of the first.

    Raises:
      UserError: names the share, and the reasons with their first places.
    """
    damaged = {reason: count for reason, count in skipped.items() if is_damage(reason)}
    total = sum(damaged.values())
    if total <= max_share * num_records:
        return
    largest_first = sorted(damaged.items(), key=lambda item: (-item[1], item[0]))
    reasons = counted_reasons(dict(largest_first), examples)
    raise UserError(
        f"config.data.sources.{source}: {total:,} of {num_records:,} raw records are damaged, "
        f"expected at most {max_share:.3g} of them: {'; '.join(reasons)}; mend the files, correct "
        f"the reader's options, or set config.data.sources.{source}.options.max_damaged_share"
    )
