"""Decoders by hand beside those of `choose`: right results, and what is said of the times."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.script import load_script
from unpool_xp.bench.cases.expected import MismatchError
from unpool_xp.bench.catalog.decoder import scaled
from unpool_xp.bench.catalog.presets import DECODERS

LABELS = ("numpy", "torch:cpu", "jax:cpu")


@pytest.fixture(scope="module")
def by_hand() -> Any:
    return load_script(Path(__file__).parents[2] / "benchmarks" / "decoder_by_hand.py")


@pytest.mark.parametrize("label", LABELS)
@pytest.mark.parametrize("name", ["unet", "segnet"])
def test_a_loop_by_hand_does_what_choose_measures(by_hand: Any, name: str, label: str) -> None:
    assert tuple(by_hand.STEPS) == LABELS
    case = scaled(DECODERS[name](), channels=1 / 16)
    by_hand.loop_by_hand(name, label, case.replace(shape=(*case.shape[:2], 32, 32)))()


def test_a_loop_that_is_wrong_is_not_timed(by_hand: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    convolve, *others = by_hand.STEPS["numpy"]
    wrong = (lambda x, weight: 1.001 * convolve(x, weight), *others)
    monkeypatch.setitem(by_hand.STEPS, "numpy", wrong)
    with pytest.raises(MismatchError):
        by_hand.loop_by_hand("unet", "numpy", scaled(DECODERS["unet"](), channels=1 / 64))


@pytest.mark.parametrize(
    ("own_s", "alike"),
    [
        ((1.0, 2.0, 3.0), True),
        ((1.0, 3.0, 2.0), True),  # by hand these two are within 10 %
        ((2.0, 1.0, 3.0), False),
        ((1.0, None, 3.0), False),
    ],
)
def test_an_order_that_differs_is_found(
    by_hand: Any, own_s: tuple[float | None, ...], alike: bool
) -> None:
    found = [
        by_hand.ByHand("unet", label, seconds, own, None)
        for label, seconds, own in zip(LABELS, (1.0, 2.0, 2.1), own_s, strict=True)
    ]
    assert by_hand.ranked_alike(found) is alike


def test_a_time_is_beside_that_of_the_fastest_own_chain(by_hand: Any) -> None:
    entries = [
        {"backend": label, "mode": mode, "implementation": how, "seconds": seconds}
        for label, mode, how, seconds in (
            ("jax:cpu", "eager", "native", 1.0),
            ("jax:cpu", "compiled", "native", 3.0),
            ("jax:cpu", "compiled", "native", 2.0),
            ("jax:cpu", "compiled", "portable", 1.5),
            ("numpy", "eager", "native", None),
        )
    ]
    seconds = by_hand.fastest({"ranking": entries}, "jax:cpu", "native")
    assert seconds == 2.0
    assert by_hand.fastest({"ranking": entries}, "numpy", "native") is None
    assert by_hand.is_within(by_hand.ByHand("unet", "jax:cpu", 1.9, seconds, 1.5), 0.1)
    assert not by_hand.is_within(by_hand.ByHand("unet", "jax:cpu", 1.7, seconds, 1.5), 0.1)
    assert not by_hand.is_within(by_hand.ByHand("unet", "numpy", 1.7, None, 1.5), 0.1)
