"""The process that the gate times in: several builds of the package side by side, and no harness.

``python -P side.py LABEL TURN base=FOLDER control=FOLDER head=FOLDER`` is started by
`unpool_xp.bench.gate.trio`. It imports what a folder has once from each, through public names
only, so that a change of our own harness never changes what is compared. All copies work on the
same arrays, in the same memory, with the same threads: they share the luck of the process. It
speaks the protocol of `bench.measure.server`, which it loads by its path, like the timer.
"""

from __future__ import annotations

import contextlib
import importlib
import itertools
import os
import pkgutil
import runpy
import sys
import types
from collections.abc import Callable, Iterator
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from typing import Any

import numpy as np

_MEASURE = Path(__file__).parents[1] / "measure"
_SERVER = runpy.run_path(str(_MEASURE / "server.py"))
_TIMER = runpy.run_path(str(_MEASURE / "timer.py"))
_HARNESS = "unpool_xp"
_HARNESS_ROOT = str(Path(__file__).parents[3])
_CALLS = itertools.count()


def _module_names(folder: str) -> set[str]:
    """Return the names of the modules and packages in a folder."""
    return {module.name for module in pkgutil.iter_modules([folder])}


class Copy:
    """One copy of the packages of a build among several in the process.

    While it works, the modules of the other copies are not in `sys.modules`, and it finds its own
    where the build has them, or nowhere: an editable installation of them is never taken.
    """

    def __init__(self, label: str, folder: str) -> None:
        self._modules: dict[str, types.ModuleType] = {}
        self._shared: set[str] = set()  # names of modules that were looked at
        self.packages = _module_names(folder)
        if not self.packages:
            raise ImportError("this version installs no package")
        # Each copy has a harness of its own: operations are loaded once by each harness.
        self._roots = {_HARNESS: _HARNESS_ROOT} | dict.fromkeys(self.packages, folder)
        self._names = set(self._roots)
        with self.at_work():
            try:
                backends = importlib.import_module(f"{_HARNESS}.backends")
            except ImportError:
                raise ImportError(f"this version has no {_HARNESS}.backends") from None
            self.backend = backends.load(label)
            self._shared = set(sys.modules)
        self.timed: Any = None

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """Find a module of its own; it is the first of the finders while it works."""
        root = self._roots.get(name.partition(".")[0])
        if root is None:
            return None
        spec = PathFinder.find_spec(name, [root] if path is None else path)
        if spec is None:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return spec

    @contextlib.contextmanager
    def at_work(self) -> Iterator[None]:
        """Put its modules into `sys.modules` for the time of the context."""
        sys.modules.update(self._modules)
        sys.meta_path.insert(0, self)
        try:
            yield
        finally:
            sys.meta_path.remove(self)
            self._claim_modules()
            for name in [name for name in sys.modules if name.partition(".")[0] in self._names]:
                self._modules[name] = sys.modules.pop(name)

    def find_function(self, operation: str, addresses: list[str]) -> Callable[..., Any]:
        """Return what is at the first address that there is; without any, load the operation."""
        for address in addresses:
            module, _, name = address.rpartition(".")
            importlib.import_module(module.partition(".")[0])  # the error is reported
            with contextlib.suppress(ImportError, AttributeError):
                return _callable(getattr(importlib.import_module(module), name))
        if addresses:
            raise ImportError(f"this version has no {addresses[0]}")
        loading = importlib.import_module(f"{_HARNESS}.bench.cases.loading")
        operations = loading.operations()
        if operation not in operations:
            why = "; ".join(loading.problems())
            raise ImportError(why or f"there is no operation {operation!r}")
        return _callable(operations[operation].function)

    def bind(
        self,
        operation: str,
        addresses: list[str],
        arrays: list[Any],
        keywords: dict[str, Any],
        mode: str,
    ) -> None:
        """Make the call that is timed."""
        call = _own_call(self.find_function(operation, addresses), keywords)
        bound = self.backend.compile(call) if mode == "compiled" else call
        self.timed = _TIMER["TimedCall"](bound, arrays, self.backend.synchronize)

    def _claim_modules(self) -> None:
        """Take for its own what else was imported and has something of this copy.

        Those are the files of operations, the modules beside them, and libraries that use the
        package: shared, they would call the copy that came first.
        """
        new = {name: sys.modules[name] for name in sys.modules.keys() - self._shared}
        while found := {
            name.partition(".")[0]
            for name, module in new.items()
            if name.partition(".")[0] not in self._names
            and any(map(self._is_own, [*getattr(module, "__dict__", {}).values()]))
        }:
            self._names |= found
        self._shared.update(new)

    def _is_own(self, value: Any) -> bool:
        """Return whether a value of a module is a module of its own, or of such a module."""
        if isinstance(value, types.ModuleType):
            home = value.__name__
        else:
            named = value if isinstance(value, types.FunctionType | type) else type(value)
            home = named.__module__
        return str(home).partition(".")[0] in self._names

    def outputs(self) -> list[np.ndarray[Any, Any]]:
        """Call once; return the outputs."""
        output = self.timed.call(*self.timed.arrays)
        many = output if isinstance(output, tuple) else (output,)
        self.backend.synchronize(*many)
        return [self.backend.to_numpy(array) for array in many]


def _callable(found: Any) -> Callable[..., Any]:
    if not callable(found):
        raise ImportError(f"{found!r} is not a function")
    call: Callable[..., Any] = found
    return call


def _own_call(function: Callable[..., Any], keywords: dict[str, Any]) -> Callable[..., Any]:
    """Return a call of the function with code and global names of its own.

    torch.compile caches by the code of the outermost function, and enters the modules that it comes
    across into its global names.
    """

    def call(*arrays: Any) -> Any:
        return function(*arrays, **keywords)

    name = f"call_{next(_CALLS)}"
    code = call.__code__.replace(co_name=name)
    return types.FunctionType(code, {"__builtins__": __builtins__}, name, None, call.__closure__)


class BuildServer:
    """The commands of the process, on one backend, for one copy of the package per side."""

    def __init__(self, label: str, turn: str, folders: dict[str, str]) -> None:
        self._turn = os.open(turn, os.O_WRONLY | os.O_CREAT)
        self._copies: dict[str, Copy] = {}
        self._errors: dict[str, str] = {}
        for side, folder in folders.items():
            try:
                self._take_turn(side)
                self._copies[side] = Copy(label, folder)
            except Exception as error:
                self._errors[side] = _SERVER["error_text"](error)
        self._arrays: list[Any] = []
        self._keywords: dict[str, Any] = {}

    def _take_turn(self, side: str) -> None:
        """Write down whose turn it is, in case the process does not survive it."""
        os.pwrite(self._turn, side.ljust(16).encode(), 0)

    def hello(self) -> dict[str, Any]:
        """Describe the backend and the package, for each side."""
        facts: dict[str, Any] = {side: {"error": error} for side, error in self._errors.items()}
        for side, copy in self._copies.items():
            device = getattr(copy.backend, "facts", None)
            facts[side] = {
                "error": None,
                "version": copy.backend.version,
                "device": getattr(device, "name", ""),
                "threads": getattr(device, "threads", None),
                "pid": os.getpid(),
            }
        return {"sides": facts}

    def load(self, inputs: str, named: list[str], options: dict[str, Any]) -> dict[str, Any]:
        """Copy the inputs of a case; the last arrays in the file are the options in `named`."""
        self._keywords = {k: tuple(v) if isinstance(v, list) else v for k, v in options.items()}
        with np.load(inputs) as archive:
            host = [archive[name] for name in archive.files]
        for name in reversed(named):
            self._keywords[name] = host.pop()
        copy = next(iter(self._copies.values()))
        with copy.at_work():
            self._arrays = [copy.backend.asarray(array) for array in host]
            copy.backend.synchronize(*self._arrays)
        return {}

    def prepare(self, side: str, operation: str, addresses: list[str], mode: str) -> dict[str, Any]:
        """Call once; return a digest of the outputs."""
        copy = self._copies[side]
        self._take_turn(side)
        with copy.at_work():
            copy.bind(operation, addresses, self._arrays, self._keywords, mode)
            return {"digest": _SERVER["digest"](copy.outputs())}

    def outputs(self, side: str, path: str) -> dict[str, Any]:
        """Write the outputs of a call."""
        copy = self._copies[side]
        self._take_turn(side)
        with copy.at_work():
            host = copy.outputs()
        np.savez(path, *host)
        return {"digest": _SERVER["digest"](host)}

    def call_seconds(self, side: str) -> dict[str, Any]:
        """Warm up; return the seconds of a call."""
        self._take_turn(side)
        with self._copies[side].at_work():
            return {"call_s": self._copies[side].timed.warm_up()}

    def sample(self, order: list[str], calls: int) -> dict[str, Any]:
        """Take a sample of each side in turn: the mean seconds per call over this many calls."""
        self.call_seconds(order[0])
        seconds = []
        for side in order:
            self._take_turn(side)
            with self._copies[side].at_work():
                seconds.append(self._copies[side].timed.time(calls))
        return {"seconds": seconds}

    def drop(self) -> dict[str, Any]:
        """Let go of the case."""
        for copy in self._copies.values():
            copy.timed = None
        self._arrays, self._keywords = [], {}
        return {}


COMMANDS = ("hello", "load", "prepare", "outputs", "call_seconds", "sample", "drop")


def main(arguments: list[str]) -> int:
    """Serve on the standard streams."""
    label, turn, *sides = arguments
    folders = dict(side.split("=", 1) for side in sides)
    _SERVER["serve"](label, lambda: BuildServer(label, turn, folders), COMMANDS)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
