"""The answer of `choose` for a whole decoder: in the terminal, for scripts and for documents."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any, TypeAlias

from rich.console import Console
from rich.markup import escape

from unpool_xp.bench.cases.case import Case
from unpool_xp.bench.cases.formatting import (
    bytes_text,
    count_text,
    escape_markdown,
    markdown_table,
    number_of,
    seconds_text,
    sizes_text,
    three_digits,
    times_text,
)
from unpool_xp.bench.decoders import DecoderChoice, Mix
from unpool_xp.bench.terminal.choice import answer_lines, codes_for
from unpool_xp.bench.terminal.choice_files import (
    against_as_markdown,
    choice_as_json,
    choice_as_markdown,
    ranking_as_json,
    table_as_csv,
)
from unpool_xp.bench.terminal.ranking import print_ranking
from unpool_xp.bench.terminal.tables import print_line, text_table
from unpool_xp.bench.verdicts.against import OtherMachine
from unpool_xp.bench.verdicts.bootstrap import Verdict
from unpool_xp.bench.verdicts.ranking import Ranked

Cells: TypeAlias = tuple[list[str], str, list[list[str]]]  # heads, letters of `text_table`, rows

_MOST_NAMED = 6  # layers in a sentence


def print_decoder(console: Console, choice: DecoderChoice) -> None:
    """Print the answer and the code for it, the ranking of the whole, and what its layers say."""
    use = headline(choice)
    print_line(console, escape(use), style="bold green" if choice.ranking.best else "bold red")
    for title, lines in codes_for(choice.whole).items():
        console.print()
        print_line(console, title, style="bold")
        for line in lines:  # to paste, so as they are
            console.print(f"  {escape(line)}", highlight=False, soft_wrap=True)
    console.print()
    print_line(console, escape(whole_title(choice)), style="bold")
    print_ranking(console, choice.ranking, choice.whole.taxes)
    if choice.ranking.best is None:
        return
    for line in (*answer_lines(choice.whole), *memory_lines(choice)):
        print_line(console, escape(line))
    for title, (heads, align, rows), lines in _parts(choice):
        if rows:
            console.print()
            print_line(console, title, style="bold")
            table = text_table(*heads, align=align)
            for row in rows:
                table.add_row(*map(escape, row))
            console.print(table)
        for line in lines:
            print_line(console, escape(line))


def _parts(choice: DecoderChoice) -> list[tuple[str, Cells, list[str]]]:
    """Return the tables of the parts with their titles, and what is said below each."""
    best = choice.ranking.best
    winner = f"; the winner of the whole is {best.name}" if best else ""
    said = [*untimed_lines(choice), *mix_lines(choice)]
    return [
        (f"layer by layer{winner}", layer_cells(choice), said),
        ("items per second, by batch", batch_cells(choice), batch_lines(choice)),
    ]


def headline(choice: DecoderChoice) -> str:
    """Return the fastest of each library for the whole, and how many times the best it takes."""
    if not choice.best_of_each_library:
        return f"the whole decoder {choice.name}: nothing could be measured"
    best, *others = choice.best_of_each_library
    known = [f"{best.name} {seconds_text(best.seconds)}"]
    for entry in others:
        beside = {Verdict.SAME: "tied", Verdict.UNDECIDED: "not sure"}.get(entry.verdict, "")
        ratio = ", ".join(filter(None, (times_text(entry.to_best.estimate), beside)))
        known.append(f"{entry.name} {seconds_text(entry.seconds)} ({ratio})")
    return f"the whole decoder {choice.name}: {', '.join(known)}"


def whole_title(choice: DecoderChoice) -> str:
    """Return what the whole takes and gives, such as "4 layers, 1x8x4x4 to 1x2x64x64, float32"."""
    case = choice.whole.case
    shapes = f"{sizes_text(case.shape)} to {sizes_text(case.output_shape)}"
    parts = [number_of(len(choice.layers), "layer"), shapes, case.dtype]
    return ", ".join([*parts, *(["backward"] if case.backward else [])])


def memory_lines(choice: DecoderChoice) -> list[str]:
    """Return what a call of the whole adds to what its inputs hold, where it was measured."""
    known = [
        f"{entry.name} {bytes_text(entry.row.peak_bytes)}"
        for entry in choice.ranking.timed
        if entry.row.peak_bytes is not None
    ]
    return [f"peak memory of a call, its inputs aside: {'; '.join(known)}"] if known else []


# --- the layers ----------------------------------------------------------------------------------


def layer_cells(choice: DecoderChoice) -> Cells:
    """Return the heads of the table of layers, their letters of `text_table`, and the rows."""
    heads = ["layer", "shape", "fastest alone", "time", "with the\nwinner", "share of\nthe whole"]
    best = choice.ranking.best
    if best is None or not any(layer.ranking.best for layer in choice.layers):
        return heads, "LLlRRR", []
    rows = []
    with_best = choice.on_layers(best)
    for layer, entry in zip(choice.layers, with_best, strict=True):
        fastest = layer.ranking.best
        alone = (fastest.name, seconds_text(fastest.seconds)) if fastest else ("no time", "-")
        rows.append([layer.name, sizes_text(layer.case.shape), *alone, *_part(entry, best)])
    if all(with_best):
        summed = math.fsum(entry.seconds for entry in with_best if entry)
        share = f"{summed / best.seconds:.0%}"
        rows.append(["sum of layers", "", "", "", seconds_text(summed), share])
    rows.append(["measured whole", "", best.name, "", seconds_text(best.seconds), "100%"])
    return heads, "LLlRRR", rows


def _part(entry: Ranked | None, whole: Ranked) -> tuple[str, str]:
    if entry is None:
        return "-", "-"
    return seconds_text(entry.seconds), f"{entry.seconds / whole.seconds:.0%}"


def untimed_lines(choice: DecoderChoice) -> list[str]:
    """Return which layers there was no time for."""
    missing = [layer.name for layer in choice.layers if not layer.ranking.best]
    if not missing:
        return []
    named = ", ".join(missing[:_MOST_NAMED]) + ", ..." * (len(missing) > _MOST_NAMED)
    count = number_of(len(choice.layers), "layer")
    return [f"no time for {len(missing)} of {count}: {named}; a longer --budget measures them"]


def mix_lines(choice: DecoderChoice) -> list[str]:
    """Return whether a mix of libraries is quicker than the best for the whole, and which."""
    best, mix = choice.ranking.best, choice.mix
    if best is None or mix is None:
        return []
    took = f"{seconds_text(mix.seconds)} instead of {seconds_text(best.seconds)} per call"
    copies = f", {seconds_text(mix.copies_s)} of it copies" if mix.copies_s else ""
    if choice.mix_pays:
        return [f"a mix would pay: {took}{copies}", *mix_parts(choice, mix)]
    if len({entry.name for entry in mix.layers}) == 1 or mix.seconds >= best.seconds:
        return ["no mix of libraries would be quicker than the whole"]
    return [f"no mix is known to be quicker; perhaps {took}{copies}", *mix_parts(choice, mix)]


def mix_parts(choice: DecoderChoice, mix: Mix) -> list[str]:
    """Return which layers a mix does with what, a line for each run of neighbours."""
    names = zip(choice.layers, mix.layers, strict=True)
    runs = itertools.groupby(names, key=lambda pair: pair[1].name)
    lines = []
    for name, pairs in runs:
        first, *_, last = [layer.name for layer, _ in pairs] * 2
        lines.append(f"- {first if first == last else f'{first} to {last}'}: {name}")
    return lines


# --- batches -------------------------------------------------------------------------------------


def batch_cells(choice: DecoderChoice) -> Cells:
    """Return the heads of the table of batches, their letters of `text_table`, and the rows."""
    heads = ["batch", *map(str, choice.batches)]
    if len(choice.batches) < 2:
        return heads, "", []
    rates = {
        batch: {entry.name: batch / entry.seconds for entry in one.ranking().timed}
        for batch, one in choice.batches.items()
    }
    names = dict.fromkeys(name for by_name in rates.values() for name in by_name)
    rows = [
        [name, *(three_digits(by[name]) if name in by else "-" for by in rates.values())]
        for name in names
    ]
    return heads, "l" + "R" * len(rates), rows


def batch_lines(choice: DecoderChoice) -> list[str]:
    """Return from which batch on the answer changes."""
    if len(choice.batches) < 2:
        return []
    changes = choice.batch_changes()
    if len(changes) == 1:
        smallest, *_, largest = choice.batches
        return [f"no other answer is sure from a batch of {smallest:,} to {largest:,}"]
    lines = []
    for change in changes:
        tied = f" (tied: {'; '.join(change.tied)})" if change.tied else ""
        lines.append(f"from a batch of {change.row.shape[0]:,}: {change.winner}{tied}")
    return lines


# --- scripts, documents and spreadsheets ---------------------------------------------------------


def decoder_as_json(choice: DecoderChoice, others: Sequence[OtherMachine] = ()) -> dict[str, Any]:
    """Return the answer for scripts: that of one operation for the whole, and the parts."""
    best = choice.ranking.best
    with_best = choice.on_layers(best) if best else [None] * len(choice.layers)
    mix = choice.mix
    return {
        "decoder": choice.name,
        **choice_as_json(choice.whole, others),
        "peak_bytes": {
            entry.name: entry.row.peak_bytes
            for entry in choice.ranking.timed
            if entry.row.peak_bytes is not None
        },
        "layers": [
            {
                "layer": layer.name,
                "case": layer.case.to_json(),
                "output_shape": list(layer.case.output_shape),
                "use": [entry.name for entry in layer.ranking.timed if entry.is_fastest],
                "seconds_with_winner": entry and entry.seconds,
                "share_of_whole": entry and best and entry.seconds / best.seconds,
                "ranking": ranking_as_json(layer.choice, layer.ranking),
            }
            for layer, entry in zip(choice.layers, with_best, strict=True)
        ],
        "sum_of_layers_s": (
            math.fsum(entry.seconds for entry in with_best if entry) if all(with_best) else None
        ),
        "mix": mix
        and {
            "pays": choice.mix_pays,
            "seconds": mix.seconds,
            "copies_s": mix.copies_s,
            "layers": [entry.name for entry in mix.layers],
        },
        "batches": [
            {
                "batch": batch,
                "items_per_second": {
                    entry.name: batch / entry.seconds for entry in one.ranking().timed
                },
                "ranking": ranking_as_json(one, one.ranking()),
            }
            for batch, one in choice.batches.items()
        ],
        "batch_changes": [
            {"from_batch": change.row.shape[0], "use": change.winner, "tied": change.tied}
            for change in choice.batch_changes()
        ],
    }


def decoder_as_markdown(
    choice: DecoderChoice, others: Sequence[OtherMachine] = (), command: str = ""
) -> str:
    """Return the headline, the ranking of the whole with its code, and the tables of the parts."""
    lines = [f"**{escape_markdown(headline(choice))}**", ""]
    for line in memory_lines(choice):
        lines += [escape_markdown(line), ""]
    lines += choice_as_markdown(choice.whole).splitlines()
    for title, (heads, align, rows), said in _parts(choice):
        if rows:
            plain = [head.replace("\n", " ") for head in heads]
            lines += [
                "",
                f"#### {title[0].upper()}{title[1:]}",
                "",
                *markdown_table(plain, rows, align=align.lower()),
            ]
        if said:
            lines += ["", *(f"- {escape_markdown(line.removeprefix('- '))}" for line in said)]
    return "\n".join(lines + against_as_markdown(others, command)) + "\n"


def decoder_as_csv(choice: DecoderChoice, others: Sequence[OtherMachine] = ()) -> str:
    """Return a line a candidate: for the whole, at each batch, and for each layer."""
    parts = [({"part": name}, one) for name, one in choice.parts.items()]
    return table_as_csv(("part",), parts, others)


def print_layers(console: Console, decoder: Case) -> None:
    """Print the shapes, the bytes moved and the operations of each layer, and of the whole."""
    table = text_table("layer", "shape", "makes", "bytes", "flops")
    names = [layer.get("name") or layer["operation"] for layer in decoder.layers]
    for name, case in zip([*names, "the whole"], [*decoder.parts, decoder], strict=True):
        shapes = (sizes_text(case.shape), sizes_text(case.output_shape))
        table.add_row(escape(name), *shapes, bytes_text(case.bytes_moved), count_text(case.flops))
    console.print(table)
