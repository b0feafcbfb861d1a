"""Numbers of things in messages."""


def counted(n: int, thing: str) -> str:
    """So many things, in the form that fits the number: 1 tile, 2 tiles."""
    return f"{n} {thing}{'' if n == 1 else 's'}"
