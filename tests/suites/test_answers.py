"""Repeated answers agree, as `benchmarks/answers.py` finds; one that does not is found out."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.support.rows import in_processes
from tests.support.script import load_script
from unpool_xp.bench.verdicts.ranking import Ranking, rank


@pytest.fixture(scope="module")
def answers() -> Any:
    return load_script(Path(__file__).parents[2] / "benchmarks" / "answers.py")


def ranking(numpy_s: float, torch_s: float, **fields: Any) -> Ranking:
    times = {"numpy": numpy_s, "torch:cpu": torch_s}
    return rank(in_processes(name, *(s,) * 3, **fields) for name, s in times.items())


@pytest.mark.usefixtures("decided_at_once")
def test_repeated_answers_agree(answers: Any, capsys: pytest.CaptureFixture[str]) -> None:
    # A library without functions of its own: one candidate, so that no luck decides.
    options = ["--quiet", "1", "--busy", "1", "--budget", "300", "--backend", "array_api_strict"]
    assert answers.main([*options, "--question", "conv_transpose"]) == 0
    shown = capsys.readouterr().out
    for run in ("quiet 1 ", "busy 1  "):
        assert re.search(rf"^  {run} array_api_strict  .* 100%", shown, re.MULTILINE), shown
    assert "quiet in busy: 1 agree" in shown


def test_an_answer_that_loses_in_another_run_is_found(
    answers: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = ranking(1e-3, 4e-3), ranking(4e-3, 1e-3)
    same = ranking(1e-3, 1.01e-3)
    open_ = ranking(4e-3, 1e-3, disturbed=[True] * 12)
    assert answers.judge([first, same], [second, open_]) == (
        {"agree": 2},
        {"contradict": 2, "open": 2},
    )
    for made, code in (([first, first], 0), ([first, second], 1)):
        left = iter(made)
        monkeypatch.setattr(answers, "ask", lambda *_: next(left))  # noqa: B023
        options = ["--quiet", "2", "--busy", "0", "--question", "max_pool"]
        assert answers.main(options) == code
    assert "quiet pairs: 2 contradict" in capsys.readouterr().out
