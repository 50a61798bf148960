"""Tables whose numbers and words are never cut, however narrow the terminal."""

from rich import box
from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.table import Table

_ANY_WIDTH = 10_000


class UncutTable(Table):
    """A table without frames that is wider than the terminal if its words need that.

    Print it with `crop=False`; a log file has no width, but rich takes it for a terminal of 80
    columns.
    """

    def __init__(self, title: str) -> None:
        super().__init__(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=0)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        wide = options.update(width=_ANY_WIDTH)
        if Measurement.get(console, wide, self).maximum > options.max_width:
            for column in self.columns:  # rich itself would cut words
                words = [word for cell in column.cells for word in str(cell).split()]
                column.width = max(map(len, [*words, *str(column.header).split()]))
        yield from super().__rich_console__(console, wide)
