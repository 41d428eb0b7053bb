"""Options of ``pytest benchmarks/``, the cells that they choose, and where the times are kept."""

from __future__ import annotations

import warnings
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import asdict

from unpool_xp import backends
from unpool_xp.bench.cases.case import BackendMode, Case
from unpool_xp.bench.catalog import SINGLE_OPERATIONS
from unpool_xp.bench.catalog.panel import SIZES, STRIDES, panel_case
from unpool_xp.bench.measure.machine import this_machine
from unpool_xp.bench.measure.measurement import Cell, cells_of
from unpool_xp.bench.measure.session import DeviceInputs, Session
from unpool_xp.bench.measure.sweep import make_row, provenance_fields
from unpool_xp.bench.measure.timer import SAMPLE_SECONDS
from unpool_xp.bench.rows.provenance import run_id
from unpool_xp.bench.suites.asv import BACKEND_MODES
from unpool_xp.capabilities import why_not

RESULTS = Path(__file__).parents[1] / "results" / "pytest-benchmark"
# pytest-benchmark's own defaults; whoever gives another value has it.
_DEFAULTS = {"storage": "file://./.benchmarks", "min_time": "0.000005", "max_time": "1.0"}
_MAX_SECONDS = "0.5"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add what chooses cells of the panel; each may be given several times."""
    group = parser.getgroup("panel", "which cells of the panel")
    choices: Any = {"action": "append", "default": []}
    group.addoption(
        "--backend",
        metavar="LABEL",
        help="a backend, such as torch:cpu; it must load here. Default: all that do",
        **choices,
    )
    group.addoption("--operation", choices=tuple(SINGLE_OPERATIONS), help="an operation", **choices)
    group.addoption("--size", choices=SIZES, help="a size", **choices)
    group.addoption("--stride", type=int, choices=STRIDES, help="a stride", **choices)
    group.addoption("--compiled", action="store_true", help="measure torch.compile, too")
    group.addoption("--native", action="store_true", help="measure the libraries' own, too")


@dataclass
class PanelSuite:
    """What a session of pytest measures.

    Parameters
    ----------
    backends : dict of str to Backend
        Those that are measured, by label.
    missing : dict of str to str
        Why others of the panel are not.
    """

    backends: dict[str, backends.Backend] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    origin: dict[str, Any] = field(default_factory=lambda: provenance_fields(run_id()))
    n_measured: int = 0
    _inputs: dict[str, DeviceInputs] = field(default_factory=dict)

    def inputs(self, label: str, case: Case) -> DeviceInputs:
        """Return the inputs of a case; those of another case go before they come."""
        for other in [key for key, kept in self._inputs.items() if kept.case != case]:
            del self._inputs[other]
        if label not in self._inputs:
            self._inputs[label] = DeviceInputs(self.backends[label], case)
        return self._inputs[label]


@dataclass
class PanelCell:
    """A case of the panel on a backend, in a mode, as a function."""

    suite: PanelSuite
    case: Case
    cell: Cell

    @property
    def name(self) -> str:
        """What it is measured with, in a few words."""
        backend_mode = str(BackendMode(self.cell.label, self.cell.mode))
        native = self.cell.implementation == "native"
        return f"{backend_mode} {self.cell.function}" if native else backend_mode

    @property
    def reason(self) -> str | None:
        """Why it cannot be done, where it is known not to be possible."""
        library = self.cell.label.partition(":")[0]
        if self.cell.implementation == "native":
            refused = self.case.find_native(library, self.cell.function).reason(self.case)
            if refused is not None:
                return f"{self.cell.function}: {refused}"
        return why_not(self.case.operation, library, self.case.dtype)

    def session(self) -> Session:
        """Return the harness's session of this cell, not yet prepared."""
        cell, backend = self.cell, self.suite.backends[self.cell.label]
        inputs = self.suite.inputs(cell.label, self.case)
        return Session(
            backend, self.case, cell.mode, cell.implementation, cell.function, inputs=inputs
        )

    def row(self, session: Session) -> dict[str, Any]:
        """Return the row of a prepared session, without the samples, which are in the stats."""
        self.suite.n_measured += 1
        backend = session.backend
        facts = {"version": backend.version, "device": backend.facts.name}
        session.measured.describe({**facts, "threads": backend.facts.threads})
        row = make_row(self.suite.origin, self.case, self.cell, session.measured)
        left_out = ("samples_s", "calls_per_sample", "process", "disturbed", "conditions")
        return {k: v for k, v in asdict(row).items() if k not in left_out}


_SUITE = pytest.StashKey[PanelSuite]()


def pytest_configure(config: pytest.Config) -> None:
    """Load the backends; set the defaults of pytest-benchmark as the harness has them."""
    option = config.option
    if getattr(option, "numprocesses", None) and not option.benchmark_disable:
        raise pytest.UsageError(
            f"--numprocesses={option.numprocesses}: benchmarks/ is measured in one process"
        )
    config.stash[_SUITE] = _load_backends(option.backend)
    machine = config.stash[_SUITE].origin["machine"]
    ours = {"storage": (RESULTS / machine).as_uri(), "min_time": str(SAMPLE_SECONDS)}
    ours["max_time"] = _MAX_SECONDS
    for name, value in ours.items():
        if str(getattr(option, f"benchmark_{name}")) == _DEFAULTS[name]:
            setattr(option, f"benchmark_{name}", value)
    if not option.benchmark_save and not option.benchmark_autosave:
        option.benchmark_autosave = config.stash[_SUITE].origin["run"]
    option.benchmark_save_data = True  # without the samples a file is of no use to `compare`
    option.benchmark_disable_gc = True
    # A library's warning is not a wrong result.
    config.addinivalue_line("filterwarnings", "default")
    config.addinivalue_line("filterwarnings", "ignore:Benchmark fixture was not used at all")


def _load_backends(labels: list[str]) -> PanelSuite:
    suite = PanelSuite()
    for label in labels or dict.fromkeys(on.label for on in BACKEND_MODES):
        try:
            backend = backends.load(label)
        except ValueError as error:
            raise pytest.UsageError(f"--backend: {error}") from error
        except backends.BackendUnavailableError as error:
            if labels:
                raise pytest.UsageError(f"--backend {error}") from error
            suite.missing[label] = str(error)
        else:
            suite.backends[backend.label] = backend
    return suite


def pytest_report_header(config: pytest.Config) -> list[str]:
    """Say what is measured, and what of the panel is not here."""
    suite = config.stash[_SUITE]
    lines = [f"panel: {', '.join(suite.backends)} on {suite.origin['machine']}"]
    return [*lines, *(f"panel: not measured: {reason}" for reason in suite.missing.values())]


def _modes(label: str, compiled: bool) -> list[str]:
    panel_modes = [on.mode for on in BACKEND_MODES if on.label == label]
    if not panel_modes:  # a backend that the panel does not have, asked for by name
        return ["eager", "compiled"] if compiled else ["eager"]
    if label.startswith("torch") and not compiled:  # a minute and more for the compiler
        return ["eager"]
    return panel_modes


def _chosen_cells(config: pytest.Config) -> Iterator[PanelCell]:
    option, suite = config.option, config.stash[_SUITE]
    for operation in option.operation or SINGLE_OPERATIONS:
        for size in option.size or SIZES:
            for stride in option.stride or STRIDES:
                case = panel_case(operation, size, stride)
                for label in suite.backends:
                    for cell in cells_of(case, label, _modes(label, option.compiled)):
                        if option.native or cell.implementation == "portable":
                            yield PanelCell(suite, case, cell)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make a test of each cell; those that cannot be are skipped with the reason."""
    if "panel_cell" in metafunc.fixturenames:
        params = []
        for cell in _chosen_cells(metafunc.config):
            marks = [pytest.mark.skip(reason=cell.reason)] if cell.reason else []
            params.append(pytest.param(cell, id=f"{cell.case.name} {cell.name}", marks=marks))
        metafunc.parametrize("panel_cell", params)


def pytest_benchmark_update_machine_info(machine_info: dict[str, Any]) -> None:
    """Put the harness's own fingerprint beside that of pytest-benchmark."""
    machine_info["unpool_xp"] = this_machine().to_json()


def _none_ran(config: pytest.Config) -> bool:
    return not config.stash[_SUITE].n_measured and not config.option.collectonly


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> Generator[None]:
    """Fail where nothing was measured: it would look like a success."""
    if _none_ran(session.config) and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.NO_TESTS_COLLECTED
    with warnings.catch_warnings():
        # That there is nothing to save: as an error it would end pytest with a traceback.
        warnings.simplefilter("ignore")
        return (yield)


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Say so where nothing was measured."""
    if _none_ran(config):
        terminalreporter.write_line("panel: no cell was measured", red=True)
