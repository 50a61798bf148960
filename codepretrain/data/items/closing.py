"""A trivial policy for unfinished expressions: close what is open, and write nothing else.

It knows nothing of the program, so what it solves shows how much of a task is syntax alone.
"""

_CLOSERS = {"(": ")", "[": "]", "{": "}"}
_QUOTES = ('"""', "'''", '"', "'")


def closing(prefix: str) -> str:
    """Returns the quotes and brackets that are open at the end of a Python expression's prefix.

    `f("a", [1, 2` gives `])`, and `g('b` gives `')`. Within a string only its end counts, and a
    comment ends with its line. Neither must be finished: any text has a result.
    """
    open_brackets: list[str] = []
    quote = ""
    place = 0
    while place < len(prefix):
        rest = prefix[place:]
        if quote:
            if rest[0] == "\\":
                place += 1  # the next character is escaped
            elif rest.startswith(quote):
                place += len(quote) - 1
                quote = ""
        elif rest[0] == "#":
            place += len(rest.partition("\n")[0])
        elif started := next((q for q in _QUOTES if rest.startswith(q)), ""):
            quote = started
            place += len(started) - 1
        elif rest[0] in _CLOSERS:
            open_brackets.append(_CLOSERS[rest[0]])
        elif open_brackets and rest[0] == open_brackets[-1]:
            open_brackets.pop()
        place += 1
    return quote + "".join(reversed(open_brackets))
