"""Numbers of things in messages."""


def counted(n: float, thing: str) -> str:
    """So many things, in the form that fits the number: 1 tile, 2 tiles."""
    number = f"{n:,}" if isinstance(n, int) else f"{n:g}"
    return f"{number} {thing}{'' if n == 1 else 's'}"
