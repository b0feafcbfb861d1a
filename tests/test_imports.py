"""What importing costs and needs."""

import subprocess
import sys

import pytest

BLIND = """
import importlib, sys

class Blind:
    '''A finder that does not see some packages, as if they were not installed.'''

    def __init__(self, finder):
        self.finder = finder

    def find_spec(self, name, path=None, target=None):
        return None if name.partition(".")[0] in {hidden} else self.finder.find_spec(name, path, target)

    def __getattr__(self, name):
        return getattr(self.finder, name)

sys.meta_path[:] = [Blind(finder) for finder in sys.meta_path]
importlib.import_module("{module}")
assert not {hidden} & set(sys.modules)
"""


def run(code: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("module", ["stitchvlm.engine", "stitchvlm.cascade", "stitchvlm.training"])
def test_core_and_training_need_torch_and_transformers_only(module):
    hidden = {"rich", "typer", "pydantic", "beartype", "jaxtyping"}
    done = run(BLIND.replace("{hidden}", repr(hidden)).replace("{module}", module))
    assert done.returncode == 0, done.stderr


def test_a_pair_answers_without_accelerate(tiny_pair):
    """Nothing but torch and transformers is needed as long as a model fits on one device."""
    hidden = {"rich", "typer", "pydantic", "beartype", "jaxtyping", "accelerate"}
    answer = f"""
from stitchvlm import Sampling, Stitch
vlm = Stitch.from_pretrained(*{tiny_pair!r}, exit="never", device="cpu", sampling=Sampling(2))
print("answered by", vlm("why?").answered_by)
"""
    done = run(BLIND.replace("{hidden}", repr(hidden)).replace("{module}", "stitchvlm.engine") + answer)
    assert done.stdout == "answered by large\n", done.stderr


def test_importing_the_package_imports_nothing_heavy():
    done = run(
        "import stitchvlm, sys; print([m for m in ('torch', 'transformers', 'numpy', 'PIL') if m in sys.modules])"
    )
    assert done.stdout == "[]\n", done.stderr


def test_public_names_are_found_when_first_used():
    import stitchvlm

    assert all(getattr(stitchvlm, name) is not None for name in stitchvlm.__all__)
    with pytest.raises(AttributeError, match="no attribute 'Magic'"):
        stitchvlm.Magic  # noqa: B018
