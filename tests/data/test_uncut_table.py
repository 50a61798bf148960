import io

from rich.console import Console

from codepretrain.data.uncut_table import UncutTable


def printed(*cells: str, width: int = 80) -> list[str]:
    table = UncutTable("Counts")
    for number, _ in enumerate(cells):
        table.add_column(f"near dup{number}.", justify="right")
    table.add_row(*cells)
    console = Console(file=io.StringIO(), width=width, record=True)
    console.print(table, crop=False)
    return [line.rstrip() for line in console.export_text().splitlines()]


def test_titles_are_folded_at_spaces_before_the_table_is_wider_than_the_terminal() -> None:
    lines = printed(*["1,234"] * 10)
    assert max(map(len, lines)) <= 80
    assert " dup7." in "\n".join(lines)


def test_numbers_are_whole_in_a_table_wider_than_the_terminal() -> None:
    lines = printed(*["503,123,456,789"] * 10)
    assert ["503,123,456,789"] * 10 in [line.split() for line in lines]
    assert max(map(len, lines)) > 80
