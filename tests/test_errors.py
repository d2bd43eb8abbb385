"""A UserError is one printable line of limited length, whatever it is made from."""

import pickle

import pytest

from iterhead.errors import MAX_LINE, UserError
from iterhead.settings import parse_config


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a\nb\x1b[31m", r"a\nb\x1b[31m"),
        ("\ud800 \u202e é", r"\ud800 \u202e é"),
        ("x" * 5000, "x" * (MAX_LINE - 3) + "..."),
    ],
)
def test_its_line(text, line):
    error = pickle.loads(pickle.dumps(UserError(text)))
    assert str(error) == line


def test_a_lone_surrogate_in_a_users_module_goes_through_pydantic(tmp_path, monkeypatch):
    module = "from iterhead import IterativeTask\nt = IterativeTask('\\ud800', 0, max)\n"
    (tmp_path / "lone_surrogate.py").write_text(module)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UserError, match=r"\\ud800: alphabet=0: expected at least one value"):
        parse_config({"task": "lone_surrogate:t"})
