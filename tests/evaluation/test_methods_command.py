"""``stitch methods`` in narrow terminals."""

import pytest
from typer.testing import CliRunner

from stitchvlm.cli import app
from stitchvlm.methods import available_methods
from stitchvlm.methods.options import method_options


@pytest.mark.parametrize("columns", ["120", "80", "60"])
def test_names_options_and_sources_stay_whole(columns):
    listed = CliRunner(env={"COLUMNS": columns}).invoke(app, ["methods"]).stdout
    words = listed.split()
    assert "…" not in listed and max(map(len, listed.splitlines())) <= int(columns)
    for name, method in available_methods().items():
        assert name in words
        for option in method_options(method).values():
            assert f"{option.name}={option.default}" in words
        assert set(method.paper.split()) <= set(words)
