import io

from rich.console import Console

from codepretrain.evals.progress import EvaluationProgress


class Clock:
    """A clock that is set by hand."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_log_file_gets_a_line_now_and_then_with_the_time_left() -> None:
    file, clock = io.StringIO(), Clock()
    console = Console(file=file, width=80)
    with EvaluationProgress(console, "prose", clock=clock) as progress:
        for second in range(0, 61, 5):
            clock.now = second
            progress(second * 10, 1000, "rows")
    assert file.getvalue().splitlines() == [
        "prose  150/1,000 rows  85 s left",
        "prose  300/1,000 rows  70 s left",
        "prose  450/1,000 rows  55 s left",
        "prose  600/1,000 rows  40 s left",
    ]


def test_the_time_left_is_that_of_the_stage_under_way() -> None:
    """100 s of generation say nothing about the programs: 10 of 20 took 20 s, so 20 s are left."""
    file, clock = io.StringIO(), Clock()
    with EvaluationProgress(Console(file=file, width=80), "python", clock=clock) as progress:
        clock.now = 100
        progress(20, 20, "completions")
        progress(0, 20, "programs")
        clock.now = 120
        progress(10, 20, "programs")
    assert file.getvalue().splitlines()[-1] == "python  10/20 programs  20 s left"


def test_no_time_left_is_told_before_anything_is_done() -> None:
    file, clock = io.StringIO(), Clock()
    with EvaluationProgress(Console(file=file, width=80), "mbpp", clock=clock) as progress:
        clock.now = 20
        progress(0, 240, "completions")
        clock.now = 40
        progress(0, 240, "completions")
    assert file.getvalue().splitlines() == ["mbpp  0/240 completions"] * 2


def test_a_short_evaluation_leaves_no_line() -> None:
    file = io.StringIO()
    with EvaluationProgress(Console(file=file), "prose", clock=Clock()) as progress:
        progress(10, 10, "rows")
    assert file.getvalue() == ""


def test_a_terminal_shows_a_bar_also_within_another_bar() -> None:
    """As within the bar of the training steps, on the same console."""
    from codepretrain.metrics.progress import StepProgress

    file = io.StringIO()
    console = Console(file=file, force_terminal=True, width=100)
    with (
        StepProgress(console, "trunk", first_step=0, num_steps=10),
        EvaluationProgress(console, "prose") as progress,
    ):
        progress(64, 128, "rows")
    assert "64/128 rows" in file.getvalue()


def test_without_a_console_nothing_is_shown() -> None:
    with EvaluationProgress(None, "prose") as progress:
        progress(1, 2, "rows")
