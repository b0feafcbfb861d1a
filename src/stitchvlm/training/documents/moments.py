"""Dates and times as documents write them."""

import random

from .words import MONTHS

_DATES = (
    *("{d:02}/{m:02}/{y}", "{d:02}/{m:02}/{y}", "{d:02}/{m:02}/{y}", "{d:02}-{m:02}-{y}", "{d:02}-{m:02}-{y}"),
    *("{d:02}.{m:02}.{y}", "{d}/{m}/{y}", "{m:02}/{d:02}/{y}", "{m}/{d}/{y}", "{y}-{m:02}-{d:02}", "{y}/{m:02}/{d:02}"),
    *(
        "{d:02}/{m:02}/{yy}",
        "{d:02}-{m:02}-{yy}",
        "{d:02}.{m:02}.{yy}",
        "{d}.{m}.{y}",
        "{d:02} {mon} {y}",
        "{d:02}-{mon}-{y}",
    ),
    *(
        "{d:02}-{MON}-{yy}",
        "{d} {month} {y}",
        "{mon} {d}, {y}",
        "{month} {d}, {y}",
        "{d:02}{MON}{y}",
        "{y}{m:02}{d:02}",
    ),
    *("{d:02}{m:02}{yy}", "{mon} {d:02}, {y}", "{d:02} {MON} {y}", "{weekday}, {d:02}/{m:02}/{y}", "{d:02}/{mon}/{y}"),
)
_TIMES = (
    *(
        "{h:02}:{n:02}",
        "{h:02}:{n:02}",
        "{h:02}:{n:02}:{s:02}",
        "{h:02}:{n:02}:{s:02}",
        "{h12}:{n:02} {AM}",
        "{h12}:{n:02}{AM}",
    ),
    *(
        "{h12:02}:{n:02}:{s:02} {AM}",
        "{h12}:{n:02}:{s:02} {AM}",
        "{h:02}.{n:02}",
        "{h12:02}:{n:02}{am}",
        "{h:02}{n:02}hrs",
    ),
)
_WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def write_moment(rng: random.Random) -> tuple[str, str]:
    """A random day and time of day, each in a random notation."""
    day, month, year = rng.randint(1, 28), rng.randint(1, 12), rng.choice((2012, *range(2015, 2027)))
    hour = min(23, max(0, round(rng.gauss(15, 4))))
    name = MONTHS[month - 1]
    date = rng.choice(_DATES).format(
        d=day,
        m=month,
        y=year,
        yy=f"{year % 100:02}",
        mon=name[:3],
        MON=name[:3].upper(),
        month=name,
        weekday=rng.choice(_WEEKDAYS),
    )
    time = rng.choice(_TIMES).format(
        h=hour,
        h12=(hour - 1) % 12 + 1,
        n=rng.randint(0, 59),
        s=rng.randint(0, 59),
        AM="AM" if hour < 12 else "PM",
        am="am" if hour < 12 else "pm",
    )
    return date, time
