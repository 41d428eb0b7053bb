"""`benchmarks/peers.py` compares results before it takes times."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.support.script import load_script

peers = load_script(Path(__file__).parents[2] / "benchmarks" / "peers.py")


def test_others_have_our_results(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("onnxruntime", minversion="1.20")
    assert peers.main(["--small", "--rounds", "1"]) == 0
    shown = capsys.readouterr().out
    for word in ("onnxruntime", "skimage", "scipy", "PIL", "1x16x32x32", "27x48"):
        assert word in shown


def test_another_result_has_no_time_and_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    x = np.ones((2, 2), np.float32)
    theirs = {"good": lambda: x + 1e-7, "far": lambda: x + 1, "small": lambda: x[:1]}
    question = peers.Question("same", x.shape, lambda: x, theirs)
    found = {one.peer: one for one in peers.answer(question, 2)}
    assert len(found["good"].seconds["peer"]) == 2
    assert 0 < found["good"].ratio("one") < 10
    assert (found["far"].reason, found["far"].seconds) == ("differs by 1 of the largest", {})
    assert found["small"].reason == "its shape is (1, 2)"
    assert peers.report([*found.values()]) == 1
    assert "same, far: differs by 1 of the largest" in capsys.readouterr().out
