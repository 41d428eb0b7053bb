"""Shared by the commands: consoles, the progress bar, and name checks."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import re
import secrets
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.status import Status
from typer.core import TyperGroup

from unpool_xp import __version__, backends
from unpool_xp.backends.base import usable_cores
from unpool_xp.bench.cases.loading import is_source, load_operations, operations, problems
from unpool_xp.bench.cases.operation import Operation
from unpool_xp.bench.rows.schema import Row
from unpool_xp.capabilities import OPERATIONS, why_no_gradients
from unpool_xp.cli.exits import ExitCode
from unpool_xp.cli.streams import prepare_streams

if TYPE_CHECKING:
    from unpool_xp.bench.measure.measurement import Measurement
    from unpool_xp.bench.measure.sweep import Progress as SweepProgress

_REFRESHES = 1  # a second: to draw takes time from what is measured
_WAIT_SECONDS = 2.0
_MIN_WIDTH = 20  # of a terminal, in characters
PATHS_GIVEN: ContextVar[Sequence[Path]] = ContextVar("paths_given", default=())  # to the command
SHARED_OPTIONS = ("--ascii", "--quiet", "--no-color")  # of `main_options`


class _Commands(TyperGroup):
    """The commands, each of which takes the options of all of them too.

    The name of a command may be several words: "sweep runs list" is one beside "sweep".
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the options of all commands before the command, wherever they are."""
        end = args.index("--") if "--" in args else len(args)
        shared = [arg for arg in args[:end] if arg in SHARED_OPTIONS]
        own = [arg for arg in args[:end] if arg not in SHARED_OPTIONS]
        return super().parse_args(ctx, [*shared, *own, *args[end:]])

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the command that the arguments begin with, and the rest of them."""
        for number in range(len(args), 1, -1):
            if (name := " ".join(args[:number])) in self.commands:
                args = [name, *args[number:]]
        return super().resolve_command(ctx, args)


app = typer.Typer(
    cls=_Commands,
    help="Choose an array library for pooling and unpooling, by measuring it here.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # its tables cut the names of options in a narrow terminal
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _console(**options: Any) -> Console:
    """Return a console; COLUMNS=0, which rich would print nothing to, is no width."""
    given = os.environ.get("COLUMNS", "").isdigit()
    width = max(shutil.get_terminal_size().columns, _MIN_WIDTH) if given else None
    return Console(highlight=False, width=width, **options)


out = _console()
err = _console(stderr=True, soft_wrap=True)  # what is wrong
notes = _console(stderr=True, soft_wrap=True)  # the rest; none with --quiet


@app.callback(invoke_without_command=True)
def main_options(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
    ascii_only: Annotated[
        bool,
        typer.Option("--ascii", help="Print ASCII only; the default where UTF-8 cannot be shown."),
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", help="Print answers and warnings only.")
    ] = False,
    no_color: Annotated[
        bool, typer.Option("--no-color", help="Print without colours; or set NO_COLOR.")
    ] = False,
) -> None:
    """Choose an array library for pooling and unpooling, by measuring it here.

    --ascii, --quiet and --no-color may stand before or after the command.
    """
    prepare_streams(ascii_only=ascii_only)
    notes.quiet = quiet
    for console in (out, err, notes):
        console.no_color = no_color or bool(os.environ.get("NO_COLOR"))
    if version:
        out.print(__version__)
        raise typer.Exit


def fail(message: str, code: ExitCode = ExitCode.CANNOT_TELL) -> NoReturn:
    """Print an error and exit."""
    err.print(f"[red]error:[/] {escape(message)}")
    raise typer.Exit(code)


@contextlib.contextmanager
def report_unwritable(option: str, path: Path) -> Iterator[None]:
    """Exit with the option's name where an output cannot be written."""
    try:
        yield
    except BrokenPipeError:  # nobody reads it any more
        raise
    except OSError as error:
        fail(f"{option}: cannot write {path}: {error.strerror}", ExitCode.FAULT)


@contextlib.contextmanager
def open_output(option: str, path: Path | None) -> Iterator[IO[str] | None]:
    """Open a file that a command writes at its end; exit before its work if that cannot be.

    Yields what to write to, or None without a path. At the end of the block the text goes to a new
    file beside the old one, which then takes its place; if the block raises anything, the old one
    stays as it is. A device or a pipe is written to directly. The folder must be there: a path that
    was mistyped makes none. One that the command is given for something else, too, is refused.
    """
    if path is None:
        yield None
        return
    others = [one.resolve() for one in PATHS_GIVEN.get()]
    if others.count(path.resolve()) > 1 and (path.is_file() or not path.exists()):
        fail(f"{option} {path}: another option already names this file")
    text = io.StringIO()
    with report_unwritable(option, path):
        is_stream = str(path).startswith(("/dev/std", "/dev/fd/", "/proc/"))
        is_stream = is_stream or (path.exists() and not path.is_file() and not path.is_dir())
        target = path if is_stream else path.resolve()  # a link stays one
        new = path if is_stream else target.with_name(f".unpool-xp-{secrets.token_hex(8)}.tmp")
        if target.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if target.exists() and not os.access(target, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        file = new.open("w", encoding="utf-8", errors="replace")
    try:
        yield text
        with report_unwritable(option, path):
            with file:
                file.write(text.getvalue())
            if not is_stream:
                if target.exists():
                    shutil.copymode(target, new)
                new.replace(target)
    finally:
        with contextlib.suppress(OSError):
            file.close()
        if not is_stream:
            new.unlink(missing_ok=True)


def require_writable(option: str, folder: Path) -> None:
    """Exit before a command's work if it could not write to a folder, or could not make it."""
    with report_unwritable(option, folder):
        there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
        with tempfile.TemporaryFile(dir=there) as file:
            file.write(b"\n")
            file.flush()  # the disk may be full


def _known_operations(names: list[str] | None) -> list[str] | None:
    """Exit with a list of the known operations if a name is unknown."""
    operation_names(names)
    return names


def operation_names(words: Sequence[str] | None) -> list[str]:
    """Return the names of operations that are given by name, file, folder or module."""
    names: dict[str, None] = {}
    _note_left_out()
    for word in words or ():
        if is_source(word):
            names |= dict.fromkeys(operation.name for operation in load_or_fail(word))
        elif word in {*OPERATIONS, *operations()}:
            names[word] = None
        else:
            fail(f"unknown operation {word}; known: {', '.join(OPERATIONS)}")
    return [*names]


def load_or_fail(source: str) -> list[Operation]:
    """Load operations; exit with why not. What is wrong with files of a folder is a note."""
    try:
        found = load_operations(source)
    except ValueError as error:
        fail(str(error))
    _note_left_out()
    return found


def _note_left_out() -> None:
    """Report once what does not load from a user's files; the rest goes on."""
    for problem in problems():
        if problem not in _noted:
            _noted.add(problem)
            err.print(f"[yellow]left out: {escape(problem)}[/]")


_noted: set[str] = set()


BackendOption = Annotated[
    list[str] | None,
    typer.Option("--backend", "-b", help="Backend to use, e.g. torch:cpu; repeat for several."),
]
OperationOption = Annotated[
    list[str] | None,
    typer.Option(
        "--operation",
        "-o",
        help="Operation, by name or from a file; repeat for several.",
        callback=_known_operations,
    ),
]
ResultsOption = Annotated[Path, typer.Option(help="Folder for all rows.")]
ReportOption = Annotated[bool, typer.Option(help="Write the report at the end.")]
AllOption = Annotated[
    bool, typer.Option("--all", help="List all cases, not only those that changed.")
]
WaitOption = Annotated[bool, typer.Option("--wait", help="Wait until other programs are idle.")]
ThreadsOption = Annotated[
    str | None,
    typer.Option(help="Threads of each backend on the CPU, e.g. 4, or 1,2,4 to compare."),
]
TIMEOUT_SECONDS = 180.0  # that of `bench.measure.rounds`, which takes a second to import
TimeoutOption = Annotated[
    float,
    typer.Option(help="Seconds for one request before a backend's process is stopped.", min=0.1),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
PullRequestOption = Annotated[
    Path | None, typer.Option("--markdown", help="Write a summary for a pull request to this file.")
]


def resolve_labels(
    labels: list[str] | None, *, to_time: bool = False, with_gradients: bool = False
) -> list[str]:
    """Return the requested labels, which must all load, or every label that loads here.

    Each library is loaded in a process of its own, which the measurement then uses. One that is
    here but broken is a line on standard error; where there is something `to_time` beside it, a
    requested one that crashes or hangs is kept, for rows that say so. Libraries known to have no
    gradients are not even loaded where they are wanted `with_gradients`.
    """
    from unpool_xp.bench.measure.pools import find_loadable
    from unpool_xp.bench.measure.workers import is_loss

    # array_api_strict is built to be strict, not fast: it is timed only on request.
    known = [name for name in backends.known() if not (to_time and name.endswith("strict"))]
    if with_gradients:
        why = {name: why_no_gradients(name.partition(":")[0]) for name in labels or known}
        lacking = [name for name, reason in why.items() if reason]
        if labels and lacking:
            fail(f"--pass backward: {why[lacking[0]]}")
        if lacking:
            notes.print(f"without gradients, so left out: {', '.join(lacking)}")
        known = [name for name in known if name not in lacking]
    with status("starting the libraries"):
        loadable = find_loadable(labels or known, keep=True)
    missing, goes_on = dict(loadable.missing), to_time and loadable.found
    lost = [label for label, why in missing.items() if labels and goes_on and is_loss(why)]
    reasons = [why for label, why in missing.items() if label not in lost]
    if labels and reasons:
        fail("\n".join(reasons))
    for label in loadable.broken:
        err.print(f"[yellow]left out: {escape(missing[label])}[/]", soft_wrap=True)
    if not loadable.found:
        fail("no library loads here; unpool-xp backends says why")
    kept = {**loadable.found, **{label: backends.full_label(label) for label in lost}}
    return list(dict.fromkeys(kept[label] for label in labels or kept))


def parse_counts(option: str, text: str | None, of: str, most: int) -> list[int]:
    """Return the numbers of an option such as "1,4,16", each once, none if it is not given."""
    parts = [] if text is None else text.split(",")
    for part in parts:
        if not re.fullmatch(r"[1-9][0-9]{0,9}", part) or int(part) > most:
            fail(f"{option} {text}: {part!r} is not a {of} from 1 to {most}, as in 1,2,4")
    return list(dict.fromkeys(map(int, parts)))


def parse_threads(text: str | None) -> list[int]:
    """Return the numbers of ``--threads``, none if it is not given; exit if there is a bad one."""
    threads = parse_counts("--threads", text, "number of threads", 9999)
    cores = usable_cores()
    too_many = ",".join(str(number) for number in threads if number > cores)
    if too_many:
        err.print(
            f"[yellow]--threads {too_many}: only {cores} cores can be used here; "
            "rows of a library that starts fewer threads have threads: null[/]"
        )
    return threads


def report_load(*, wait: bool) -> None:
    """Say how much other programs keep busy, before anything is timed; or wait until they stop."""
    from unpool_xp.bench.measure.host.load import describe_load
    from unpool_xp.bench.measure.host.other_runs import other_runs

    if others := other_runs():
        err.print(
            f"[yellow]another run of unpool-xp is under way on this machine, process "
            f"{', '.join(map(str, others))}: they disturb each other[/]"
        )
    while (load := describe_load()) is not None:
        if not wait:
            err.print(f"[yellow]{load}: times will be off; --wait waits until they are done[/]")
            return
        with status(f"waiting: {load}"):
            time.sleep(_WAIT_SECONDS)


def report_unknown_commit() -> None:
    """Say so before rows are measured where git does not want to name their commit."""
    from unpool_xp.bench.rows.provenance import why_no_commit

    if (why := why_no_commit()) is not None:
        err.print(f"[yellow]the rows will not name a commit: {escape(why)}[/]")


def report_disturbed(rows: Iterable[Row | Measurement]) -> None:
    """Say how many samples others have disturbed, if any."""
    flags = [flag for row in rows for flag in row.disturbed or ()]
    if any(flags):
        err.print(
            f"[yellow]{sum(flags)} of {len(flags)} samples were disturbed by other programs; a row "
            "with more than half of its samples disturbed is marked ! and decides nothing[/]"
        )


def require_times(rows: Iterable[Row], named: Iterable[str] | None) -> None:
    """Exit where nothing has a time, or nothing of a backend that was asked for by its name."""
    timed = {row.backend for row in rows if row.checked}
    missing = [label for label in named or () if backends.full_label(label) not in timed]
    if missing or not timed:
        where = f" on {', '.join(missing)}" if missing else ""
        fail(f"nothing was timed{where}; the rows say why")


def status(text: str = "") -> Status:
    """Return a line on standard error that says what is going on, and takes next to no time."""
    return notes.status(text, refresh_per_second=_REFRESHES)


def progress_bar() -> Progress:
    """Return a progress bar on standard error, so that output can be piped."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=notes,
        transient=True,
        refresh_per_second=_REFRESHES,
    )


@contextlib.contextmanager
def sweep_progress(what: str) -> Iterator[Callable[[SweepProgress], None]]:
    """Show a progress bar for a sweep, and yield what it reports to."""
    with progress_bar() as progress:
        task = progress.add_task(what, total=None)

        def update(at: SweepProgress) -> None:
            doing = at.case.operation + (f" on {at.machine}" if at.machine else "")
            progress.update(task, completed=at.done, total=at.total, description=doing)

        yield update
