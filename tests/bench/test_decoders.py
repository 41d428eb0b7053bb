"""A mix of libraries for the layers of a decoder: found as by trying all, paid for when it pays."""

from __future__ import annotations

import csv
import io
import itertools
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from tests.support.rows import make_row
from unpool_xp.bench.cases.case import Case
from unpool_xp.bench.choose import Choice
from unpool_xp.bench.decoders import DecoderChoice, Layer, best_mix, layers_of
from unpool_xp.bench.rows.schema import Row
from unpool_xp.bench.terminal.decoder import (
    decoder_as_csv,
    decoder_as_json,
    decoder_as_markdown,
    print_decoder,
)

BACKENDS = ("numpy", "torch:cpu", "jax:cpu")
POOL = Case("max_pool", (2, 3, 8, 8), kernel=2)
UNPOOL = Case("max_unpool", (2, 3, 4, 4), kernel=2)


LAYERS = (
    {"operation": "max_pool", "kernel": 2, "name": "pool"},
    {"operation": "conv_transpose", "kernel": 3, "padding": 1, "stride": 1, "out_channels": 3},
    {"operation": "max_unpool", "indices": "pool"},
)
DECODER = Case("decoder", (2, 3, 8, 8), name="small", layers=LAYERS)


def row(case: Case, backend: str, seconds: float, copy_s: float = 0.0, **fields: Any) -> Row:
    known = {
        "samples_s": [seconds * (1 + number / 1000) for number in range(15)],
        "process": [number // 3 for number in range(15)],
        "to_device_s": copy_s,
        "from_device_s": copy_s,
    }
    return make_row(**case.to_json() | known | fields, backend=backend)


def decoder(
    whole: Sequence[Row], *layers: Sequence[Row], batches: Mapping[int, Sequence[Row]] | None = None
) -> DecoderChoice:
    """Return the answer for the small decoder, of what was measured."""
    known = dict(zip(DECODER.parts, layers, strict=False))
    return DecoderChoice(
        "small",
        Choice(DECODER, list(whole), {}),
        layers_of(DECODER, lambda case: Choice(case, list(known.get(case, ())), {})),
        {
            batch: Choice(DECODER.replace(shape=(batch, 3, 8, 8)), list(rows), {})
            for batch, rows in (batches or {}).items()
        },
    )


@pytest.mark.parametrize("seed", range(6))
def test_the_best_mix_is_that_of_all_that_were_tried(seed: int) -> None:
    rng = np.random.default_rng(seed)
    # pool, pool, unpool the second, unpool the first: indices cross, and cross from far
    small = POOL.replace(shape=(2, 3, 4, 4))
    undo = UNPOOL.replace(shape=(2, 3, 2, 2))
    kinds = ((POOL, None), (small, None), (undo, 1), (UNPOOL, 0))
    times = rng.uniform(1, 10, (4, 3))
    copies = rng.uniform(0, 2, (4, 3))
    layers = [
        Layer(
            "",
            Choice(case, [row(case, *given) for given in zip(BACKENDS, *of, strict=True)], {}),
            source,
        )
        for (case, source), *of in zip(kinds, times, copies, strict=True)
    ]
    typical = {
        n: {e.row.backend: e.seconds for e in one.ranking.timed} for n, one in enumerate(layers)
    }

    def crossing(source: int, a: int, to: int, b: int, values: bool) -> float:
        # float32 values and int64 indices: a third and two thirds of the bytes of both
        shares = {True: 1 / 3, False: 2 / 3}
        out = shares[values] if source < 2 else 1.0
        into = shares[values] if to >= 2 else 1.0
        return 0.0 if a == b else copies[source, a] * out + copies[to, b] * into

    def total(way: tuple[int, ...]) -> float:
        took = sum(typical[n][BACKENDS[k]] for n, k in enumerate(way))
        took += sum(crossing(n, way[n], n + 1, way[n + 1], True) for n in range(3))
        return took + sum(crossing(s, way[s], n, way[n], False) for s, n in ((1, 2), (0, 3)))

    best = min(itertools.product(range(3), repeat=4), key=total)
    found = best_mix(layers)
    assert found is not None
    assert [entry.row.backend for entry in found.layers] == [BACKENDS[k] for k in best]
    assert math.isclose(found.seconds, total(best))


def measured(*, numpy: tuple[float, ...], torch: tuple[float, ...], copy_s: float) -> DecoderChoice:
    """Return the answer where two libraries take these times for the whole and for each layer."""
    whole, *layers = [
        [row(case, "numpy", mine, copy_s), row(case, "torch:cpu", its, copy_s)]
        for case, mine, its in zip((DECODER, *DECODER.parts), numpy, torch, strict=False)
    ]
    return decoder(whole, *layers)


def shown(choice: DecoderChoice, width: int = 80) -> str:
    console = Console(file=io.StringIO(), width=width)
    print_decoder(console, choice)
    text: str = console.file.getvalue()  # type: ignore[attr-defined]
    return text


MIXED = measured(numpy=(6e-3, 1e-3, 4e-3, 1e-3), torch=(9e-3, 3e-3, 1e-3, 4e-3), copy_s=1e-4)


def test_the_first_line_names_each_library_and_the_table_each_layer() -> None:
    lines = shown(MIXED).splitlines()
    assert lines[0] == "the whole decoder small: numpy 6.04 ms, torch:cpu 9.06 ms (1.50x)"
    assert max(map(len, lines)) <= 80
    cells = {line.split("  ")[0]: line.split() for line in lines}
    assert cells["2 conv_transpose"][2:] == [
        "2x3x4x4",
        "torch:cpu",
        "1.01",
        "ms",
        "4.03",
        "ms",
        "67%",
    ]
    assert cells["sum of layers"][-3:] == ["6.04", "ms", "100%"]
    assert cells["measured whole"][-4:] == ["numpy", "6.04", "ms", "100%"]


def test_a_mix_pays_only_where_it_wins_with_the_copies() -> None:
    text = " ".join(shown(MIXED).split())
    assert "a mix would pay: 3.24 ms instead of 6.04 ms per call, 221 µs of it copies" in text
    assert "- pool: numpy - 2 conv_transpose: torch:cpu - 3 max_unpool: numpy" in text
    dear = measured(numpy=(6e-3, 1e-3, 4e-3, 1e-3), torch=(9e-3, 3e-3, 1e-3, 4e-3), copy_s=3e-3)
    assert not dear.mix_pays
    assert "no mix of libraries would be quicker than the whole" in shown(dear)


def test_layers_without_a_time_are_named_and_their_sum_is_not_made_up() -> None:
    whole = [row(DECODER, "numpy", 6e-3)]
    choice = decoder(whole, [row(DECODER.parts[0], "numpy", 1e-3)])
    text = shown(choice)
    assert "no time for 2 of 3 layers: 2 conv_transpose, 3 max_unpool;" in text
    assert "sum of layers" not in text
    assert "mix" not in text
    answer = decoder_as_json(choice)
    assert answer["sum_of_layers_s"] is None
    assert answer["mix"] is None
    assert [layer["share_of_whole"] is None for layer in answer["layers"]] == [False, True, True]


def test_a_decoder_without_any_time_says_so() -> None:
    choice = decoder([])
    assert shown(choice).splitlines()[0] == "the whole decoder small: nothing could be measured"
    assert json.dumps(decoder_as_json(choice))
    assert decoder_as_markdown(choice)
    assert decoder_as_csv(choice).count("\n") == 1


def test_batches_come_with_items_per_second_and_where_the_answer_changes() -> None:
    times = {1: (1e-3, 3e-3), 4: (4e-3, 5e-3), 16: (2e-2, 8e-3)}
    batches = {
        batch: [
            row(DECODER.replace(shape=(batch, 3, 8, 8)), name, took)
            for name, took in zip(("numpy", "torch:cpu"), pair, strict=True)
        ]
        for batch, pair in times.items()
    }
    choice = decoder([row(DECODER, "numpy", 2e-3)], batches=batches)
    lines = shown(choice).splitlines()
    cells = {line.split("  ")[0]: line.split()[1:] for line in lines}
    assert cells["numpy"][-3:] == ["993", "993", "794"]
    assert cells["torch:cpu"] == ["331", "794", "1,986"]
    assert lines[-2:] == ["from a batch of 1: numpy", "from a batch of 16: torch:cpu"]
    assert [one["from_batch"] for one in decoder_as_json(choice)["batch_changes"]] == [1, 16]


def test_documents_and_tables_have_the_whole_the_batches_and_each_layer() -> None:
    table = list(csv.DictReader(io.StringIO(decoder_as_csv(MIXED))))
    parts = ["the whole small", "layer pool", "layer 2 conv_transpose", "layer 3 max_unpool"]
    assert [line["part"] for line in table] == [name for name in parts for _ in range(2)]
    page = decoder_as_markdown(MIXED)
    assert page.startswith("**the whole decoder small: numpy 6.04 ms, torch:cpu 9.06 ms (1.50x)**")
    assert "#### Layer by layer; the winner of the whole is numpy" in page
    assert "| sum of layers |" in page
    answer = decoder_as_json(MIXED)
    assert json.dumps(answer, allow_nan=False)
    assert answer["mix"]["layers"] == ["numpy", "torch:cpu", "numpy"]
    assert answer["mix"]["pays"]
    assert math.isclose(answer["sum_of_layers_s"], 6.04e-3, rel_tol=1e-2)


def test_the_functions_of_a_chain_are_those_of_the_layers() -> None:
    names = ["max_pool2d", "conv_transpose2d", "max_unpool2d"]
    native = {"implementation": "native"}
    chain = {**native, "function": "; ".join([f"torch.nn.functional.{names[0]}", *names[1:]])}
    choice = decoder(
        [row(DECODER, "torch:cpu", 3e-3, **chain)],
        *(
            [
                row(part, "torch:cpu", 2e-3),
                row(part, "torch:cpu", 1e-3, **native, function=f"torch.nn.functional.{name}"),
            ]
            for part, name in zip(DECODER.parts, names, strict=True)
        ),
    )
    assert choice.ranking.best is not None
    own = [entry and entry.row.function for entry in choice.on_layers(choice.ranking.best)]
    assert own == [f"torch.nn.functional.{name}" for name in names]
