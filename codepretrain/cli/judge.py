"""The command `judge`: win rates of variants over recorded completions."""

import argparse
import dataclasses
import sys
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from etils import epath
from rich.console import Console

from codepretrain.cli.endpoint_flags import add_endpoint_flags, check_client, check_prices, key
from codepretrain.cli.environment import import_jax, start_backend
from codepretrain.cli.flags import whole_number
from codepretrain.cli.interop import Add
from codepretrain.config.schema import StudyConfig
from codepretrain.errors import UserError

if TYPE_CHECKING:
    from codepretrain.endpoint.account import Account
    from codepretrain.evals.judge.result import JudgeResult
    from codepretrain.study.remote_judge import RemoteJudge
    from codepretrain.study.win_rates import Pair
    from codepretrain.study.workspace import Workspace

_REPORT_INTERVAL_S = 15.0


def add_commands(add: Add) -> None:
    """Adds the command and its flags to the command line."""
    judge = add("judge", _judge, "compare the completions of variants pairwise, with a judge")
    judge.add_argument("--evaluator", required=True, help="an evaluation of kind 'completions'")
    judge.add_argument(
        "--pairs", metavar="A:B,…", help="variants (default: each against the baseline)"
    )
    add_endpoint_flags(judge, required=False)
    judge.add_argument(
        "--local",
        metavar="PHASE[@STEP] or FOLDER",
        help="judge with a checkpoint of the study or an exported model instead of an endpoint",
    )
    judge.add_argument("--max-tokens", type=whole_number(1, 1 << 20), default=1024)
    judge.add_argument(
        "--seed", type=whole_number(-1, 2**31 - 1), default=0, help="sent along; -1: none is"
    )
    judge.add_argument("--dry-run", action="store_true", help="count and estimate; send nothing")


def _judge(config: StudyConfig, flags: argparse.Namespace, argv: list[str]) -> int:
    given = [f"--{name}" for name in ("endpoint", "local") if getattr(flags, name) is not None]
    if len(given) != 1:
        found = " and ".join(given) or "neither"
        raise UserError(f"expected a judge, by --endpoint and --model or by --local, found {found}")
    return _ask(config, flags) if flags.local is None else _judge_locally(config, flags)


def _ask(config: StudyConfig, flags: argparse.Namespace) -> int:
    check_client()
    from codepretrain.endpoint.account import Terms
    from codepretrain.endpoint.chat import Endpoint
    from codepretrain.study.remote_judge import RemoteJudge
    from codepretrain.study.workspace import Workspace

    if flags.model is None:
        raise UserError("--model is missing: the name of the judge as the endpoint calls it")
    check_prices(flags)
    endpoint = Endpoint(
        url=flags.endpoint,
        model=flags.model,
        key="" if flags.dry_run else key(flags.key_env),
        temperature=0.0,
        max_tokens=flags.max_tokens,
        seed=None if flags.seed < 0 else flags.seed,
    )
    endpoint.check()
    workspace = Workspace(config, flags.workdir)
    judge = RemoteJudge(
        workspace,
        flags.evaluator,
        _read(workspace, flags),
        endpoint,
        Terms(**{f.name: getattr(flags, f.name) for f in dataclasses.fields(Terms)}),
    )
    _print_estimate(judge)
    return 0 if flags.dry_run else _run(judge)


def _judge_locally(config: StudyConfig, flags: argparse.Namespace) -> int:
    from codepretrain.study.workspace import Workspace

    workspace = Workspace(config, flags.workdir)
    pairs = _read(workspace, flags)
    if flags.dry_run:
        num_matches = sum(len(pair.matches) for pair in pairs)
        _announce(f"{len(pairs)} pairs of runs, {num_matches:,} matches, nothing to pay")
        return 0
    import_jax()
    start_backend()
    from codepretrain.study.local_judge import judge_locally

    console = Console()
    written = judge_locally(
        workspace, evaluator=flags.evaluator, pairs=pairs, local_name=flags.local, console=console
    )
    _print_written(console, written)
    return 0


def _read(workspace: "Workspace", flags: argparse.Namespace) -> "list[Pair]":
    from codepretrain.study.win_rates import read_pairs

    return read_pairs(workspace, evaluator=flags.evaluator, pairs=flags.pairs, announce=_announce)


def _print_estimate(judge: "RemoteJudge") -> None:
    found = judge.estimate()
    line = (
        f"{len(judge.pairs)} pairs of runs, {len(judge.matches):,} matches "
        f"({found.num_identical:,} of identical completions): {found.num_requests:,} verdicts to "
        f"ask for, {found.num_kept:,} kept"
    )
    if judge.terms.prompt_price + judge.terms.completion_price:
        line += f"; about {found.cost:,.2f} to pay, at most {found.most_cost:,.2f}"
    print(line, file=sys.stderr)


def _run(judge: "RemoteJudge") -> int:
    account, written = judge.run(announce=_announce, on_answer=_Progress(judge))
    _print_written(Console(), written)
    _announce(
        f"{account.num_answers - account.num_kept:,} answers, "
        f"{account.num_kept:,} kept from before; {account.prompt_tokens:,} + "
        f"{account.completion_tokens:,} tokens, cost {account.cost:,.4f} in all"
    )
    reasons = {
        "--max-cost was reached": account.stopped_at_cost,
        "--deadline-s has passed": account.stopped_at_deadline,
        f"{account.num_failed:,} requests failed": account.num_failed > 0,
    }
    stopped = [reason for reason, is_true in reasons.items() if is_true]
    if stopped:
        rerun = "with a larger --max-cost" if account.stopped_at_cost else "the same command"
        _announce(
            f"codepretrain: {', '.join(stopped)}: the results lack verdicts; rerun {rerun} to ask "
            "for them"
        )
        return 1
    return 0


def _print_written(console: Console, written: "Mapping[epath.Path, JudgeResult]") -> None:
    from codepretrain.report.win_rate_rows import print_results

    print_results(console, list(written.values()))
    for path in written:
        console.print(f"result: {path}", soft_wrap=True, highlight=False)


class _Progress:
    """Says every 15 seconds how many verdicts there are, and the time left."""

    def __init__(self, judge: "RemoteJudge") -> None:
        self._total = judge.estimate().num_requests
        self._started = self._last = time.monotonic()

    def __call__(self, account: "Account") -> None:
        now, done = time.monotonic(), account.num_answers - account.num_kept
        if now - self._last >= _REPORT_INTERVAL_S and done:
            self._last = now
            left = (now - self._started) / done * (self._total - done)
            _announce(
                f"{done:,}/{self._total:,} verdicts, cost {account.cost:,.4f}, "
                f"{max(0.0, left):,.0f} s left"
            )


def _announce(message: str) -> None:
    print(message, file=sys.stderr, flush=True)
