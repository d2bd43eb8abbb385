"""The options of those that train, which are read in one place."""

import dataclasses
from pathlib import Path

import pytest

from iterhead.errors import UserError
from iterhead.runs.options import ExecutionKeywords, ExecutionOptions
from iterhead.runs.training import train


def test_keywords_are_the_fields():
    names = [field.name for field in dataclasses.fields(ExecutionOptions)]
    assert list(ExecutionKeywords.__annotations__) == names


def test_defaults():
    assert ExecutionOptions.from_keywords({}) == ExecutionOptions()


def test_parents_are_in_out_unless_given():
    options = ExecutionOptions.from_keywords({"out": "here"})
    assert (options.out, options.parents) == (Path("here"), Path("here"))
    assert ExecutionOptions.from_keywords({"out": "here", "parents": "there"}).parents == Path("there")


def test_options_are_their_own_keywords():
    options = ExecutionOptions.from_keywords({"out": "here", "parents": "there", "threads": 3})
    assert ExecutionOptions.from_keywords(vars(options)) == options


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"thread": 1}, "thread: no such option: did you mean 'threads'?"),
        (
            {"x": 1},
            "x: no such option: expected one of out, parents, again, threads, default_threads, device, compiled, "
            "kept_checkpoints, skip_locked",
        ),
        ({"threads": 0}, "threads=0: expected 1 to 1,024"),
        ({"default_threads": -2}, "default_threads=-2: expected 1 to 1,024"),
    ],
)
def test_wrong_options_are_refused_in_one_line_before_anything_is_written(tmp_path, keywords, message):
    with pytest.raises(UserError) as error:
        train(out=tmp_path / "runs", **keywords)
    assert str(error.value) == message
    assert not (tmp_path / "runs").exists()
