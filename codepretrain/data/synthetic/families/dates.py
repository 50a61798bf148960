"""Families about dates; none reads a clock."""

import calendar
import datetime
from random import Random

from codepretrain.data.synthetic.families.family import Draft, calls, code

_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def _dates(rng: Random, size: int) -> list[tuple[int, int, int]]:
    start = datetime.date(1900, 1, 1).toordinal()
    found = [datetime.date.fromordinal(start + rng.randint(0, 60_000)) for _ in range(size)]
    return [(d.year, d.month, d.day) for d in found]


def weekday(rng: Random) -> Draft:
    name = rng.choice(("weekday", "day_name", "day_of_week"))
    size = rng.choice((2, 3, None))
    first = rng.randint(0, 6)
    as_number = rng.random() < 0.4
    names = [day[:size] for day in _DAYS]
    result = f"(day - {first}) % 7" if as_number else f"{names}[day]"
    solution = code(
        """
        def $f(year, month, day_of_month):
            if month < 3:
                month += 12
                year -= 1
            century, year = divmod(year, 100)
            h = day_of_month + 13 * (month + 1) // 5 + year + year // 4 + century // 4 + 5 * century
            day = (h + 5) % 7
            return $result
        """,
        f=name,
        result=result,
    )

    def oracle(year: int, month: int, day: int) -> str | int:
        number = datetime.date(year, month, day).weekday()
        return (number - first) % 7 if as_number else names[number]

    new_year = datetime.date(rng.randint(1900, 2060), 12, 29)
    days = [new_year + datetime.timedelta(days=i) for i in range(7)]
    week = [(day.year, day.month, day.day) for day in days]
    task = "returns the day of the week of a date in the Gregorian calendar"
    note = (
        f"{_DAYS[first]} is 0, the day after it 1, and so on to 6."
        if as_number
        else f"The days are called {', '.join(names)}."
    )
    return Draft(
        signature=f"{name}(year, month, day_of_month)",
        task=task,
        notes=[note, "Do it by arithmetic, without a module for dates."],
        solution=solution,
        oracle=oracle,
        tests=calls(name, [*_dates(rng, 2), (2000, 2, 29), (1900, 3, 1), *week]),
        parameters={"names": None if as_number else size, "first": first if as_number else None},
        difficulty=4,
    )


def later_date(rng: Random) -> Draft:
    name = rng.choice(("add_days", "later_date", "due_date", "shift_date"))
    step, skips = rng.choice((1, 7, 10, 14, 30)), rng.random() < 0.5
    form = rng.choice(("%Y-%m-%d", "%d.%m.%Y", "%m/%d/%Y", "%Y%m%d"))
    loop = (
        "\n    while date.weekday() >= 5:\n        date += datetime.timedelta(days=1)"
        if skips
        else ""
    )
    solution = code(
        """
        import datetime


        def $f(text, count):
            date = datetime.datetime.strptime(text, $form).date()
            date += datetime.timedelta(days=$step * count)$loop
            return date.strftime($form)
        """,
        f=name,
        form=repr(form),
        step=step,
        loop=loop,
    )

    def oracle(text: str, count: int) -> str:
        day = datetime.datetime.strptime(text, form).toordinal() + step * count
        if skips and day % 7 in (6, 0):  # day 1 was a Monday
            day += 1 + (day % 7 == 6)
        return datetime.date.fromordinal(day).strftime(form)

    dates = [datetime.date(*d).strftime(form) for d in _dates(rng, 5)]
    friday = datetime.date(2024, 3, 1) + datetime.timedelta(days=7 * rng.randint(0, 500))
    weekend = [(friday + datetime.timedelta(days=i)).strftime(form) for i in range(4)]
    period = f"{step} days" if step > 1 else "one day"
    shape = form.replace("%Y", "YYYY").replace("%m", "MM").replace("%d", "DD")
    return Draft(
        signature=f"{name}(text, count)",
        task=f"returns the date that is `count` times {period} after the date `text`",
        notes=[
            f"Dates are strings of the form {shape}; `count` may be negative.",
            "A result on a Saturday or Sunday moves to the next Monday." if skips else "",
        ],
        solution=solution,
        oracle=oracle,
        tests=calls(name, [(d, rng.randint(-9, 40)) for d in dates] + [(d, 0) for d in weekend]),
        parameters={"step": step, "skips": skips, "form": form},
        difficulty=3,
    )


def leap_days(rng: Random) -> Draft:
    name = rng.choice(("leap_days", "count_leap_years", "leap_years"))
    inclusive, short = rng.random() < 0.5, rng.random() < 0.3
    if short:  # a calendar without the rule of 400 years
        count = "n // 4 - n // 100"
    else:
        count = "n // 4 - n // 100 + n // 400"
    solution = code(
        """
        def $f(first, last):
            def up_to(n):
                return $count

            if first > last:
                return 0
            return up_to($end) - up_to(first - 1)
        """,
        f=name,
        count=count,
        end="last" if inclusive else "last - 1",
    )

    def oracle(first: int, last: int) -> int:
        years = range(first, last + inclusive)
        return sum(y % 4 == 0 and y % 100 != 0 if short else calendar.isleap(y) for y in years)

    rule = "divisible by 4 but not by 100" + ("" if short else ", or divisible by 400")
    inputs = [(y, y + rng.randint(1, 500)) for y in (rng.randint(1, 1990) for _ in range(4))]
    return Draft(
        signature=f"{name}(first, last)",
        task=f"counts the leap years from `first` to `last`, `last` "
        f"{'included' if inclusive else 'excluded'}",
        notes=[
            f"A year is a leap year if it is {rule}.",
            "Years are positive. If `first` is after `last` the result is 0.",
        ],
        solution=solution,
        oracle=oracle,
        tests=calls(name, [*inputs, (2000, 2000), (1900, 1901), (2024, 2020), (2100, 1900)])
        + calls(name, [(1999, 2000), (2000, 2001), (2001, 2004), (1, 4), (4, 400)]),
        parameters={"inclusive": inclusive, "short": short},
        difficulty=3,
    )


FAMILIES = (weekday, later_date, leap_days)
