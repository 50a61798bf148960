"""What a source of synthetic code yields: verified share, distinctness, families, difficulties."""

import dataclasses
from collections import Counter
from itertools import islice
from typing import Any

from codepretrain.data.document import Document, Skipped
from codepretrain.data.readers.synthetic_code import SyntheticCode
from codepretrain.data.synthetic.candidates import Candidate
from codepretrain.data.synthetic.distinctness import distinctness
from codepretrain.errors import UserError


def source_report(reader: SyntheticCode, *, num_candidates: int) -> dict[str, Any]:
    """Reads and verifies the first candidates of a source, and returns its report as JSON values.

    Distinctness is that of the verified ones. A shard is verified as a whole, so the report may
    be of some more candidates than asked for.

    Raises:
      UserError: there is no candidate, or none is verified.
    """
    outcomes: Counter[str] = Counter()
    families: Counter[str] = Counter()
    pairs: list[tuple[str, str]] = []
    for shard in reader.shards():
        by_place = {}
        for item in reader.candidates_of(shard):
            if isinstance(item, Candidate):
                by_place[item.origin] = item
        skipped = set()
        for result in reader.read(shard, "report"):
            outcomes["verified" if isinstance(result, Document) else result.reason] += 1
            if isinstance(result, Skipped):
                skipped.add(result.origin)
        for candidate in (c for place, c in by_place.items() if place not in skipped):
            families[candidate.problem.family] += 1
            pairs.append((candidate.problem.statement, candidate.solution))
        if outcomes.total() >= num_candidates:
            break
    if not pairs:
        raise UserError(f"no candidate is verified: {dict(outcomes) or 'there is none'}")
    return {
        "num_candidates": outcomes.total(),
        "verified_share": outcomes["verified"] / outcomes.total(),
        "outcomes": dict(outcomes.most_common()),
        "num_families": len(families),
        "families": dict(islice(sorted(families.items()), 1000)),
        "distinctness": dataclasses.asdict(distinctness(pairs)),
    }
