"""What `import unpool_xp` brings along."""

from __future__ import annotations

import ast
from pathlib import Path

import unpool_xp
from tests.support.command import python

HEAVY = (
    *("torch", "jax", "dask", "cupy", "scipy", "altair", "rich", "typer", "matplotlib"),
    *("skimage", "distributed", "zarr"),
)


def test_import_brings_no_array_library_along() -> None:
    code = (
        "import sys, unpool_xp; "
        f"print([name for name in {HEAVY} if name in sys.modules], "
        "any(name.startswith('unpool_xp.bench') for name in sys.modules))"
    )
    assert python("-c", code).stdout.strip() == "[] False"


def test_a_function_is_imported_when_it_is_used() -> None:
    code = "import sys, unpool_xp; print('numpy' in sys.modules, unpool_xp.max_pool.__name__)"
    assert python("-c", code).stdout.strip() == "False max_pool"


def test_what_is_seldom_needed_comes_with_its_first_use() -> None:
    # 70 of 100 ms were array_api_compat's copy of NumPy, with f2py and the testing tools in it.
    late = (
        *("array_api_compat.numpy", "numpy.f2py", "concurrent.futures", "multiprocessing"),
        *("unpool_xp._dask.operations", "unpool_xp._array.adapted.namespace"),
    )
    code = f"""
import sys, numpy, unpool_xp
late = [name for name in {late} if name not in sys.modules]  # of what NumPy brings along
unpool_xp.max_pool(numpy.zeros((1, 1, 4, 4)), 2)
found = [name for name in late if name in sys.modules]
print(found if hasattr(numpy, "unstack") else [n for n in found if "numpy" not in n])
"""
    assert python("-c", code).stdout.strip() == "[]"


def test_every_public_name_is_there_and_listed_in_order() -> None:
    assert all(hasattr(unpool_xp, name) for name in unpool_xp.__all__)
    assert sorted(unpool_xp.__all__) == unpool_xp.__all__
    assert {*unpool_xp.__all__} <= {*dir(unpool_xp)}
    assert unpool_xp.pooling.max_pool is unpool_xp.max_pool
    assert not hasattr(unpool_xp, "min_pool")


def test_the_compat_libraries_are_imported_in_one_folder() -> None:
    package = Path(unpool_xp.__file__).parent
    found = set()
    for file in package.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = [name.name for name in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            if any(name.startswith("array_api_") for name in names):
                found.add(file.relative_to(package).parts[0])
    assert found == {"_array"}


def test_planning_imports_no_array_library_but_numpy() -> None:
    package = Path(unpool_xp.__file__).parent
    code = (
        f"import sys, types; sys.modules |= dict.fromkeys({('array_api_compat', *HEAVY)}); "
        "p = types.ModuleType('unpool_xp'); p.__path__ = [sys.argv[1]]; "
        "sys.modules['unpool_xp'] = p; "
        "import unpool_xp._plan.windows; print('fine')"
    )
    assert python("-c", code, package).stdout.strip() == "fine"
