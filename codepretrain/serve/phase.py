"""Serves a checkpoint of a study: everything that can fail is checked before anything compiles."""

import contextlib
import ipaddress
import socket
from dataclasses import dataclass

import jax
from rich.console import Console

from codepretrain.errors import UserError
from codepretrain.evals.harness.tokenizer import TextTokenizer
from codepretrain.evals.language_model import LanguageModel
from codepretrain.rows.vocabulary import load_vocabulary
from codepretrain.serve.app import Served, make_app
from codepretrain.serve.compute import Compute
from codepretrain.serve.engine import Engine
from codepretrain.serve.pieces import Pieces
from codepretrain.serve.request import Limits
from codepretrain.serve.server import bind, running, url
from codepretrain.study.opening import open_workspace
from codepretrain.study.phase_params import check_step, load_params
from codepretrain.study.workspace import Workspace
from codepretrain.train.program import Program


@dataclass(frozen=True, kw_only=True)
class Options:
    """Where to serve, and how much. key: the bearer token to ask for; None: no key is needed."""

    host: str
    port: int
    tokens_per_request: int
    key: str | None = None


def serve_phase(
    workspace: Workspace, *, name: str, step: int | None, options: Options, command: str
) -> None:
    """Serves a phase's checkpoint, by default its last, until a signal comes.

    Raises:
      UserError: there is no such checkpoint, or the address cannot be used.
      Interrupted: by a signal.
    """
    if jax.process_count() > 1:
        raise UserError("serve runs on one process, found several")
    console = Console()
    with contextlib.closing(bind(options.host, options.port)) as sock:
        program = Program(workspace.config)
        workspace = open_workspace(workspace)
        step = workspace.phases[name].num_steps if step is None else step
        check_step(workspace, name, step, command=command)
        served = _served(workspace, name, step, options, sock)
        console.print(program.description(), highlight=False, soft_wrap=True)
        params = load_params(workspace, name, step, program.abstract_state.params)
        note = lambda line: console.print(line, highlight=False, soft_wrap=True)  # noqa: E731
        compute = Compute(_language_model(workspace, program), params, note=note)
        compute.warm_up()
        engine = Engine(compute)
        with running(make_app(served, engine), sock, on_end=engine.stop):
            _announce(console, served, sock)
            engine.run()
        raise RuntimeError("the HTTP server has ended by itself")


def _language_model(workspace: Workspace, program: Program) -> LanguageModel:
    """Returns the model as evaluations use it: as many rows at once as training has."""
    config = workspace.config
    return LanguageModel(
        config.model,
        load_vocabulary(workspace.data_dir, vocab_size=config.model.vocab_size),
        program.mesh,
        batch_size=config.training.batch_size // config.execution.num_microbatches,
        max_seq_len=config.data.max_seq_len,
        attention_kernel=program.attention_kernel,
    )


def _served(
    workspace: Workspace, name: str, step: int, options: Options, sock: socket.socket
) -> Served:
    config = workspace.config
    vocabulary = load_vocabulary(workspace.data_dir, vocab_size=config.model.vocab_size)
    names = {
        vocabulary.bos: config.data.tokenizer.bos_token,
        vocabulary.eos: config.data.tokenizer.eos_token,
    }
    return Served(
        name=f"{config.name}-{name}-{step}",
        tokenizer=TextTokenizer.load(workspace.data_dir),
        pieces=Pieces(vocabulary, names),
        limits=Limits(
            window=config.data.max_seq_len,
            vocab_size=config.model.vocab_size,
            bytes_per_token=int(vocabulary.num_bytes.max()),
            tokens_per_request=options.tokens_per_request,
        ),
        details={
            "study": config.name,
            "phase": name,
            "step": step,
            "fingerprint": workspace.fingerprint(name),
        },
        key=options.key,
        hosts=(options.host,) if _is_local(sock) else None,
    )


def _is_local(sock: socket.socket) -> bool:
    return ipaddress.ip_address(sock.getsockname()[0].partition("%")[0]).is_loopback


def _announce(console: Console, served: Served, sock: socket.socket) -> None:
    """Prints the address, and a warning if other machines can reach it."""
    address = url(sock)
    if not _is_local(sock):
        who = "who has the key" if served.key else "who can reach it; no key is asked for"
        Console(stderr=True).print(
            f"codepretrain: warning: {address} is not a loopback address: it serves everybody "
            f"{who}, without encryption",
            highlight=False,
            soft_wrap=True,
        )
    console.print(
        f"{served.name}: ready at {address}/v1 (window {served.limits.window:,} tokens; Ctrl-C "
        "ends it)",
        highlight=False,
        soft_wrap=True,
    )
