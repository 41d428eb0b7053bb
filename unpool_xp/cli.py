"""The commands: thin, all that they do lives in `unpool_xp.bench`."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Annotated, Any, NoReturn

try:
    import typer
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
except ImportError as missing:  # the library itself needs none of this
    need = 'the commands need pip install "unpool-xp[bench]"'
    sys.exit(f"unpool-xp: {missing.name} is not installed; {need}")

from unpool_xp import __version__, backends
from unpool_xp.bench.check import check_backends, to_json, to_junit
from unpool_xp.capabilities import DTYPES, OPERATIONS

app = typer.Typer(
    help="Choose an array library for pooling and unpooling, by measuring it here.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
out = Console(highlight=False)
err = Console(stderr=True, highlight=False)

Labels = Annotated[
    list[str] | None,
    typer.Option("--backend", "-b", help="A backend's label; may be given several times."),
]


def fail(message: str, code: int = 2) -> NoReturn:
    """Say what is wrong, and leave."""
    err.print(f"[red]error:[/] {escape(message)}")
    raise typer.Exit(code)


def wanted(labels: list[str] | None, *, to_time: bool = False) -> list[str]:
    """Return the labels asked for, all of which must load, or all that load here."""
    if not labels:
        # array_api_strict is made to be strict, not fast: it is timed only where it is named.
        known = (name for name in backends.known() if not (to_time and name.endswith("strict")))
        return backends.available(known)
    try:
        return list(dict.fromkeys(backends.load(label).label for label in labels))
    except (ValueError, backends.BackendUnavailableError) as error:
        fail(str(error))


def known_operations(names: list[str] | None) -> None:
    """Leave where a name is no operation's, with a list of the known ones."""
    unknown = set(names or ()) - set(OPERATIONS)
    if unknown:
        fail(f"unknown operation {', '.join(sorted(unknown))}; known: {', '.join(OPERATIONS)}")


def bar() -> Progress:
    """Return a progress bar on standard error, so that output can be piped."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=err,
        transient=True,
    )


@app.callback(invoke_without_command=True)
def main_options(
    version: Annotated[bool, typer.Option("--version", help="Say the version.")] = False,
) -> None:
    """Choose an array library for pooling and unpooling, by measuring it here."""
    if version:
        out.print(__version__)
        raise typer.Exit


@app.command("backends")
def show_backends(
    backend: Labels = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    quick: Annotated[bool, typer.Option(help="Leave out the measured rates.")] = False,
) -> None:
    """Say what is installed here, on which devices, and how fast they copy and multiply."""
    from unpool_xp.bench import probe, show

    rows: list[dict[str, object]] = []
    with bar() as progress:
        labels = backend or backends.known()
        task = progress.add_task("measuring", total=len(labels))
        for label in labels:
            try:
                loaded = backends.load(label)
            except ValueError as error:
                fail(str(error))
            except backends.BackendUnavailableError as error:
                rows.append({"backend": label, "missing": str(error).partition(": ")[2]})
            else:
                facts = loaded.facts
                row: dict[str, object] = {
                    "backend": loaded.label,
                    "version": loaded.version,
                    "device": facts.name,
                    "memory_bytes": facts.memory_bytes,
                    "threads": facts.threads,
                }
                if not quick:
                    rates = probe.ceilings(loaded)
                    row["copy_gb_s"] = round(rates.copy_gb_s, 1)
                    row["product_gflop_s"] = round(rates.product_gflop_s, 1)
                rows.append(row)
            progress.advance(task)
    if as_json:
        print(json.dumps(rows, indent=1))
    else:
        show.print_backends(out, rows)
    if backend and any("missing" in row for row in rows):
        raise typer.Exit(2)


@app.command()
def check(
    backend: Labels = None,
    operation: Annotated[
        list[str] | None, typer.Option("--operation", "-o", help="May be given several times.")
    ] = None,
    torch_compiled: Annotated[
        bool, typer.Option(help="Check torch compiled too: seconds a trial.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    junit: Annotated[Path | None, typer.Option(help="Write a JUnit report here.")] = None,
) -> None:
    """Hold operations, dtypes and backends to the oracle; exit 1 on a mismatch, 2 if none ran."""
    from unpool_xp.bench import show

    known_operations(operation)
    labels = wanted(backend)
    with bar() as progress:
        task = progress.add_task("checking", total=len(labels))
        results = check_backends(
            labels,
            operations=operation or tuple(OPERATIONS),
            torch_compiled=torch_compiled,
            progress=lambda label: progress.advance(task),
        )
    if junit:
        junit.write_bytes(to_junit(results))
    if as_json:
        print(json.dumps(to_json(results), indent=1))
    else:
        show.print_checks(out, results)
    outcomes = Counter(result.outcome for result in results)
    if outcomes["failed"]:
        raise typer.Exit(1)
    if not outcomes["passed"]:
        fail("nothing was checked")


def _numbers(name: str, text: str | None, kind: type[int] | type[float]) -> tuple[Any, ...] | None:
    """Return the numbers of an option such as "8,64,112,112"."""
    if text is None:
        return None
    try:
        return tuple(kind(part) for part in text.replace("x", ",").split(","))
    except ValueError:
        fail(f"--{name} {text!r} is no {kind.__name__} or list of them such as 2,2")


def _per_axis(sizes: tuple[Any, ...] | None) -> Any:
    """Return one number for all spatial axes as such, several as they are."""
    return sizes[0] if sizes is not None and len(sizes) == 1 else sizes


@app.command()
def choose(
    operation: Annotated[str, typer.Argument(help="Such as max_unpool.")],
    shape: Annotated[str, typer.Option(help="Of the first array: 8,64,112,112.")],
    kernel: Annotated[str | None, typer.Option(help="2, or 3,2: one an axis.")] = None,
    stride: Annotated[str | None, typer.Option(help="Default: the kernel.")] = None,
    padding: Annotated[str | None, typer.Option(help="Default: none.")] = None,
    scale: Annotated[str | None, typer.Option(help="Output size over input size.")] = None,
    out_channels: Annotated[int | None, typer.Option(help="Of a transposed convolution.")] = None,
    dtype: Annotated[str, typer.Option(help="Of the values.")] = "float32",
    backend: Labels = None,
    budget: Annotated[float, typer.Option(help="Seconds to measure for.", min=1)] = 20.0,
    torch_compiled: Annotated[
        bool, typer.Option(help="Compile with torch too: seconds for each size.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure here and now which backend to use, and from which size on the answer changes."""
    from unpool_xp.bench import show_choice
    from unpool_xp.bench.cases import Case
    from unpool_xp.bench.choose import choose as measure

    if dtype not in DTYPES:
        fail(f"unknown dtype {dtype!r}; known: {', '.join(DTYPES)}")
    try:
        case = Case(
            operation,
            _numbers("shape", shape, int) or (),
            kernel=_per_axis(_numbers("kernel", kernel, int)),
            stride=_per_axis(_numbers("stride", stride, int)),
            padding=_per_axis(_numbers("padding", padding, int)),
            scale=_per_axis(_numbers("scale", scale, float)),
            out_channels=out_channels,
            dtype=dtype,
        )
    except (ValueError, TypeError) as error:
        fail(str(error))
    compiled = ("jax", "torch") if torch_compiled else ("jax",)
    labels = wanted(backend, to_time=True)
    try:
        with err.status("") as status:
            choice = measure(
                case,
                labels,
                budget_s=budget,
                modes=lambda label: (
                    ("eager", "compiled") if label.partition(":")[0] in compiled else ("eager",)
                ),
                progress=status.update,
            )
    except MemoryError as error:
        fail(str(error))
    if as_json:
        print(json.dumps(show_choice.choice_as_json(choice), indent=1))
    else:
        show_choice.print_choice(out, choice)
    if not any(entry.place for entry in choice.ranking()):
        raise typer.Exit(2)


@app.command()
def sweep(
    preset: Annotated[
        str, typer.Option(help="A set of cases: quick, segnet, unet, dcgan, vae, full.")
    ] = "quick",
    operation: Annotated[
        list[str] | None, typer.Option("--operation", "-o", help="May be given several times.")
    ] = None,
    backend: Labels = None,
    results: Annotated[Path, typer.Option(help="The folder of all rows.")] = Path("results"),
    resume: Annotated[
        str | None,
        typer.Option(help="Go on with a run, by its name, or with the last one: --resume last."),
    ] = None,
    memory: Annotated[bool, typer.Option(help="Measure peak memory too.")] = False,
    report: Annotated[bool, typer.Option(help="Write the report at the end.")] = False,
) -> None:
    """Measure a set of cases on every backend, a row a measurement."""
    from unpool_xp.bench import show
    from unpool_xp.bench.machine import this_machine
    from unpool_xp.bench.presets import preset as preset_of
    from unpool_xp.bench.sweep import SweepInterrupted, SweepUnwritableError, run_sweep

    try:
        chosen = preset_of(preset)
    except ValueError as error:
        fail(str(error))
    known_operations(operation)
    cases = [case for case in chosen.cases if not operation or case.operation in operation]
    if not cases:
        fail(f"preset {preset} has no case of {', '.join(operation or ())}")
    labels = wanted(backend, to_time=True)
    folder = results / "sweeps" / this_machine().id
    path = _run_path(folder, resume)
    err.print(f"{len(cases)} cases on {', '.join(labels)}; rows go to {path}")
    try:
        with bar() as progress:
            task = progress.add_task("cells", total=None)
            summary = run_sweep(
                cases,
                labels,
                out=path,
                modes=chosen.modes,
                resume=resume is not None,
                memory=memory,
                progress=lambda at: progress.update(
                    task, completed=at.done, total=at.total, description=at.case.operation
                ),
            )
    except (SweepInterrupted, SweepUnwritableError) as stopped:
        err.print(f"[yellow]{escape(str(stopped))}[/]")
        err.print(f"unpool-xp sweep --preset {preset} --resume {path.stem}")
        raise typer.Exit(130 if isinstance(stopped, SweepInterrupted) else 1) from None
    err.print(
        f"{summary.measured} measured, {summary.failed} without a time (the rows say why), "
        f"{summary.skipped} already there"
    )
    if report:
        show.print_rankings(out, path)
        _write_report([path], results / "report")


def _run_path(folder: Path, resume: str | None) -> Path:
    """Return the file of a new run, or of the one to go on with."""
    from unpool_xp.bench.results import run_id

    if resume is None:
        return folder / f"{run_id()}.jsonl"
    if resume != "last":
        path = folder / f"{resume}.jsonl"
        if not path.exists():
            fail(f"--resume {resume}: there is no {path}")
        return path
    runs = sorted(folder.glob("*.jsonl"))
    if not runs:
        fail(f"--resume last: there is no run in {folder}")
    return runs[-1]


@app.command()
def tax(
    backend: Labels = None,
    operation: Annotated[
        list[str] | None, typer.Option("--operation", "-o", help="May be given several times.")
    ] = None,
    mode: Annotated[str | None, typer.Option(help="eager or compiled; default: both.")] = None,
    quick: Annotated[bool, typer.Option(help="Leave out the middle size.")] = False,
    limits: Annotated[
        bool, typer.Option(help="Measure rates, overhead, growth and memory instead.")
    ] = False,
    results: Annotated[Path, typer.Option(help="The folder of all rows.")] = Path("results"),
    markdown: Annotated[Path | None, typer.Option(help="Write the summary here.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure what portability costs: our time over that of each library's own function."""
    from unpool_xp.bench import tax_view
    from unpool_xp.bench.tax import TARGETS, tax_cases
    from unpool_xp.bench.tax_measure import measure_taxes, row_keeper

    known_operations(operation)
    labels = wanted(backend)
    if limits:
        _limits(labels, operation, quick, as_json)
        return
    targets = [t for t in TARGETS if t.label in labels and mode in (None, t.mode)]
    if not targets:
        fail(f"no target for these; there are {', '.join(t.where for t in TARGETS)}")
    cases = [c for c in tax_cases(quick) if not operation or c.operation in operation]
    if not cases:
        fail(f"no case of {', '.join(operation or ())}")
    with row_keeper(results / "tax") as keep, bar() as progress:
        task = progress.add_task("measuring", total=len(targets) * len(cases))
        entries = measure_taxes(
            cases,
            targets,
            keep=keep,
            progress=lambda found: progress.update(
                task, advance=len(found), description=found[0].target.label
            ),
        )
    if markdown:
        markdown.write_text(tax_view.markdown(entries), encoding="utf-8")
    if as_json:
        print(json.dumps(tax_view.as_json(entries), indent=1))
    else:
        tax_view.print_entries(out, entries)
        tax_view.print_summaries(out, entries)


@app.command()
def compare(
    base: Annotated[Path, typer.Argument(help="A file or folder of results: what there was.")],
    head: Annotated[Path, typer.Argument(help="Another: what there is now.")],
    across_machines: Annotated[
        bool, typer.Option("--across-machines", help="Compare times of different machines, too.")
    ] = False,
    everything: Annotated[
        bool, typer.Option("--all", help="List all cases, not only what changed.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    markdown: Annotated[
        Path | None, typer.Option(help="Write a summary for a pull request here.")
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(help="Where thresholds are.", show_default="pyproject.toml, if there is one"),
    ] = None,
) -> None:
    """Say what became faster or slower; exit 0: nothing slower, 1: some, 2: cannot tell."""
    from unpool_xp.bench import show_compare
    from unpool_xp.bench.compare import Thresholds
    from unpool_xp.bench.compare import compare as compare_rows
    from unpool_xp.bench.readers import read_results

    default = Path("pyproject.toml")
    try:
        there = config or default.exists()
        thresholds = Thresholds.read(config or default) if there else Thresholds()
        sides = [read_results([path]) for path in (base, head)]
    except (OSError, ValueError) as error:
        fail(str(error))
    problems = list(dict.fromkeys(problem for side in sides for problem in side.problems))
    found = compare_rows(
        *(side.rows for side in sides), thresholds=thresholds, across_machines=across_machines
    )
    if markdown:
        text = show_compare.comparison_as_markdown(found, everything=everything)
        try:
            markdown.write_text(text, encoding="utf-8")
        except OSError as error:
            fail(f"--markdown {markdown}: {error.strerror}")
    show_compare.print_problems(err, problems)
    if as_json:
        print(json.dumps(show_compare.comparison_as_json(found, problems), indent=1))
    else:
        show_compare.print_comparison(out, found, everything=everything)
    raise typer.Exit(found.exit_code)


@app.command()
def gate(
    base: Annotated[str, typer.Argument(help="What to compare with: a branch, a tag, a hash.")],
    head: Annotated[
        str | None, typer.Option(help="The same for the other side.", show_default="working tree")
    ] = None,
    backend: Annotated[
        list[str] | None,
        typer.Option(
            "--backend",
            "-b",
            help="A label; jax compiled, others eager, or as in torch:cpu/compiled.",
        ),
    ] = None,
    operation: Annotated[
        list[str] | None, typer.Option("--operation", "-o", help="May be given several times.")
    ] = None,
    size: Annotated[str | None, typer.Option(help="small or large; default: both.")] = None,
    budget: Annotated[float, typer.Option(help="Seconds for the first passes.", min=1)] = 120.0,
    timeout: Annotated[float, typer.Option(help="Seconds for one request.", min=1)] = 60.0,
    everything: Annotated[
        bool, typer.Option("--all", help="List all cases, not only what changed.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    markdown: Annotated[
        Path | None, typer.Option(help="Write a summary for a pull request here.")
    ] = None,
    folder: Annotated[Path, typer.Option(help="Environments and rows.")] = Path(".gate"),
) -> None:
    """Build two commits, time them in turns; exit 0: none slower, 1: some, 2: cannot tell."""
    from unpool_xp.bench import gate_build, show_gate
    from unpool_xp.bench.cases import OPERATIONS as MEASURED
    from unpool_xp.bench.gate import default_hows, parse_hows, run_gate
    from unpool_xp.bench.panel import SIZES, STRIDES, panel_case
    from unpool_xp.bench.thresholds import Thresholds

    known_operations(operation)
    if size not in (None, *SIZES):
        fail(f"unknown size {size!r}; known: {', '.join(SIZES)}")
    wanted_sizes = (size,) if size else SIZES
    cases = [
        panel_case(name, which, stride)
        for name in operation or OPERATIONS
        if name in MEASURED
        for which in wanted_sizes
        for stride in STRIDES
    ]
    if not cases:
        fail(f"{', '.join(operation or ())} is not timed; timed are {', '.join(MEASURED)}")
    try:
        hows, notes = (parse_hows(backend), []) if backend else default_hows()
        sources = [gate_build.find_source(Path.cwd(), ref) for ref in (base, head)]
        thresholds = Thresholds.read(sources[1].repository / "pyproject.toml")
        with err.status("") as status:
            builds = []
            for source in sources:
                status.update(escape(f"building {source.ref}"))
                builds.append(gate_build.build(source, folder / "environments"))
            found = run_gate(
                builds[0],
                builds[1],
                cases,
                hows,
                out=folder / "runs",
                thresholds=thresholds,
                budget_s=budget,
                timeout_s=timeout,
                notes=[*notes, *gate_build.dependency_notes(*sources)],
                progress=lambda text: status.update(escape(text)),
            )
    except (gate_build.GateError, ImportError, OSError, ValueError) as error:
        fail(str(error))
    except KeyboardInterrupt:
        fail("interrupted; there is no verdict", 130)
    if markdown:
        markdown.write_text(show_gate.gate_as_markdown(found, everything=everything), "utf-8")
    if as_json:
        print(json.dumps(show_gate.gate_as_json(found), indent=1))
    else:
        show_gate.print_gate(out, found, everything=everything)
    raise typer.Exit(found.exit_code)


def _limits(labels: list[str], operations: list[str] | None, quick: bool, as_json: bool) -> None:
    from unpool_xp.bench import limits_view

    with err.status("") as status:
        found = limits_view.measure_limits(
            labels,
            operations,
            quick=quick,
            progress=lambda one: status.update(f"{one['measure']} {one['backend']} {one['name']}"),
        )
    if as_json:
        print(json.dumps(found, indent=1))
    else:
        limits_view.print_limits(out, found)


@app.command()
def report(
    paths: Annotated[list[Path], typer.Argument(help="Files of rows, or folders of them.")],
    to: Annotated[Path, typer.Option(help="Where to write.")] = Path("results/report"),
) -> None:
    """Write one self-contained HTML page, charts beside it, and a summary in Markdown."""
    _write_report(paths, to)


def _write_report(paths: list[Path], to: Path) -> None:
    from unpool_xp.bench.machine import read_machines
    from unpool_xp.bench.readers import read_results
    from unpool_xp.bench.report import write_report

    try:
        read = read_results(paths)
    except FileNotFoundError as error:
        fail(str(error))
    for problem in read.problems:
        err.print(f"[yellow]{escape(f'{problem.path}:{problem.line}: {problem.reason}')}[/]")
    files = write_report(read.rows, read.problems, to, machines=read_machines(paths))
    err.print(f"{len(read.rows)} rows; open {files.html}")


@app.command()
def gallery(
    image: Annotated[
        Path | None,
        typer.Argument(help="A picture, PNG or JPEG. Default: those of scikit-image."),
    ] = None,
    stride: Annotated[
        list[float] | None,
        typer.Option("--stride", "-s", help="May be given several times. Default: 2, 3, 4."),
    ] = None,
    to: Annotated[Path, typer.Option(help="Where to write.")] = Path("results/gallery"),
    backend: Annotated[
        str, typer.Option("--backend", "-b", help="A label; the pictures do not depend on it.")
    ] = "numpy",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Pool and unpool photographs by every method: a grid of pictures, PSNR and SSIM."""
    from unpool_xp.bench.gallery import STRIDES
    from unpool_xp.bench.gallery_write import exhibition

    try:
        with err.status("pooling and unpooling") as status:
            shown = exhibition(
                image,
                backends.load(wanted([backend])[0]),
                stride or STRIDES,
                progress=status.update,
            )
            status.update("drawing")
            files = shown.write(to)
    except (OSError, ValueError) as error:
        fail(str(error))
    if as_json:
        print(json.dumps(shown.as_json(files), indent=1))
    else:
        shown.print(out)
    err.print(f"open {files[0]}", soft_wrap=True)


def main() -> None:
    """Run the command line."""
    app()


if __name__ == "__main__":
    main()
