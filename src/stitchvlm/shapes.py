"""Names for tensor shapes in signatures.

With jaxtyping installed they are jaxtyping's own and the tests check them at every call; on a machine that has only
torch and transformers they document the shapes and do nothing else.

A name that begins with an underscore binds nothing: rows of different length in one list share a name but not a size.
"""

try:
    from jaxtyping import Bool, Float, Int
except ImportError:

    class _UncheckedShape:
        def __class_getitem__(cls, item):
            return item[0]

    Bool = Float = Int = _UncheckedShape  # type: ignore[assignment]

__all__ = ["Bool", "Float", "Int"]
