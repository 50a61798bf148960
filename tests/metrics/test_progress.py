import io
import time

import pytest
from rich.console import Console

from codepretrain.metrics.progress import StepProgress


def shown(monkeypatch, *, is_terminal):
    """What is printed of 30 steps of 1 s each, of 40."""
    now = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    output = io.StringIO()
    console = Console(file=output, force_terminal=is_terminal, width=120)
    with StepProgress(console, "trunk", first_step=10, num_steps=40) as progress:
        for step in range(11, 41):
            now[0] += 1.0
            progress.update(step, loss=2.5, tokens_per_s=512.0, wait_share=0.25)
    return output.getvalue()


def test_a_log_file_gets_a_line_now_and_then_and_the_last(monkeypatch):
    assert shown(monkeypatch, is_terminal=False).splitlines() == [
        "trunk  25/40  loss 2.500  512 tokens/s  25% waiting  15 s left",
        "trunk  40/40  loss 2.500  512 tokens/s  25% waiting  0 s left",
    ]


def test_a_terminal_gets_a_bar(monkeypatch):
    assert "40/40" in shown(monkeypatch, is_terminal=True)


@pytest.mark.parametrize("is_terminal", [False, True])
def test_nothing_is_shown_before_the_first_update(is_terminal):
    output = io.StringIO()
    console = Console(file=output, force_terminal=is_terminal, width=120)
    with StepProgress(console, "trunk", first_step=0, num_steps=4):
        pass
    assert "loss" not in output.getvalue()
