"""The one mixture of a path through the phases, by which runs of several lengths are compared."""

from collections.abc import Mapping, Sequence

from codepretrain.report.collect import RunResults

Mixture = tuple[tuple[str, float], ...]  # (source, share), sorted, without sources of no share


def path_mixture(path: Sequence[RunResults]) -> Mixture | None:
    """Returns the one mixture of all phases of a path.

    None if it changes, if the path starts from an imported model, or if it has an average, which
    scores otherwise than the runs of its mixture do.
    """
    if path[0].plan.initial_checkpoint is not None or any(run.plan.members for run in path):
        return None
    found = {_mixture(run, stage) for run in path for stage in run.plan.mixture}
    return found.pop() if len(found) == 1 else None


def path_tokens(path: Sequence[RunResults]) -> int:
    return path[-1].plan.tokens_before + path[-1].plan.tokens


def _mixture(run: RunResults, stage: Mapping[str, object]) -> Mixture:
    start = stage["start_tokens"]
    assert isinstance(start, int)
    shares = run.plan.shares_at(start)
    return tuple(sorted((source, round(share, 4)) for source, share in shares.items() if share))


def mixture_text(mixture: Mixture) -> str:
    """Returns "text 75%, web_code 25%"."""
    ordered = sorted(mixture, key=lambda item: -item[1])
    return ", ".join(f"{source} {100 * share:.3g}%" for source, share in ordered)
