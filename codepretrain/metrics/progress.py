"""The progress of training: a bar on a terminal, a line every 15 seconds in a log file."""

import time
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

_LINE_INTERVAL_S = 15.0


class StepProgress:
    """Shows step, loss, tokens per second, share of time waiting for data, and time left."""

    def __init__(self, console: Console, name: str, *, first_step: int, num_steps: int) -> None:
        self._console = console
        self._name = name
        self._num_steps = num_steps
        self._first_step = first_step
        self._started = self._last_line = time.perf_counter()
        self._bar: Progress | None = None

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(bar_width=24),
                TextColumn("{task.completed:,}/{task.total:,}  {task.fields[numbers]}"),
                TimeRemainingColumn(compact=True),
                console=self._console,
            )
            self._bar.start()
            self._task = self._bar.add_task(
                self._name, total=self._num_steps, completed=self._first_step, numbers=""
            )
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def print(self, line: str) -> None:
        """Prints a line above the bar."""
        self._console.print(line, soft_wrap=True)

    def update(self, step: int, *, loss: float, tokens_per_s: float, wait_share: float) -> None:
        """Shows that `step` updates were made."""
        numbers = f"loss {loss:.3f}  {tokens_per_s:,.0f} tokens/s  {wait_share:.0%} waiting"
        if self._bar is not None:
            self._bar.update(self._task, completed=step, numbers=numbers)
            return
        now = time.perf_counter()
        if now - self._last_line < _LINE_INTERVAL_S and step < self._num_steps:
            return
        self._last_line = now
        left = (now - self._started) / max(1, step - self._first_step) * (self._num_steps - step)
        self._console.print(
            f"{self._name}  {step:,}/{self._num_steps:,}  {numbers}  {left:,.0f} s left",
            soft_wrap=True,
        )
