"""Check your own array library in CI
==================================

For maintainers of an array library: every operation and dtype on it, in each pull request.

It needs four things: a backend,

.. literalinclude:: ../../examples/maintainer/my_library_unpool.py
   :language: python

its entry point,

.. literalinclude:: ../../examples/maintainer/pyproject.toml
   :language: toml

the job,

.. literalinclude:: ../../examples/maintainer/check.yml
   :language: yaml

and a look at what the job would do, before it is pushed. ``unpool-xp check`` runs every
operation and dtype against a slow and simple reference.
"""

# %%
import os
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from xml.etree import ElementTree

here = Path(__file__).parent / "maintainer"
folder = Path(tempfile.mkdtemp())

# %%
# ``pip install .`` would write the entry point of ``pyproject.toml`` where Python finds it. To
# install nothing here, a temporary folder holds it.

# %%
project = tomllib.loads((here / "pyproject.toml").read_text())["project"]
((group, entries),) = project["entry-points"].items()
info = folder / "my_library-1.0.dist-info"
info.mkdir()
(info / "METADATA").write_text("Metadata-Version: 2.1\nName: my-library\nVersion: 1.0\n")
points = "".join(f"{label} = {place}\n" for label, place in entries.items())
(info / "entry_points.txt").write_text(f"[{group}]\n{points}")
paths = [str(folder), str(here), os.environ.get("PYTHONPATH", "")]
environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}


# %%
def job(**more):
    """Run the job's command; return its exit code, and what the JUnit file counts."""
    command = "check --backend my_library --junit unpool-xp.xml"
    done = subprocess.run(
        [sys.executable, "-m", "unpool_xp", *command.split()],
        cwd=folder,
        env={**environment, **more},
        capture_output=True,
        text=True,
    )
    if not (folder / "unpool-xp.xml").exists():
        sys.exit(done.stderr)
    suite = next(ElementTree.parse(folder / "unpool-xp.xml").iter("testsuite"))
    counts = {name: int(suite.get(name, 0)) for name in ("tests", "failures", "skipped")}
    return done.returncode, counts, suite


code, counts, _ = job()
print("exit code", code)
print("checked", counts["tests"] - counts["skipped"], "failed", counts["failures"])

# %%
# Does it find a bug? The library has one to switch on, which reverses the last axis. The job fails,
# and the JUnit file names the operations and dtypes that are wrong, with the values.

# %%
code, counts, suite = job(MY_LIBRARY_HAS_A_BUG="1")
print("with a bug: exit code", code, "failed some:", counts["failures"] > 0)
first = next(case for case in suite.iter("testcase") if case.find("failure") is not None)
print(first.get("classname"), first.get("name"))
print((first.find("failure").get("message") or first.find("failure").text).strip())

# %%
# It prints:
#
# .. literalinclude:: ../../examples/output/maintainer_ci.txt
#    :language: text
#
# :doc:`/extending` lists what else a backend can override. One that works asynchronously or lazily
# must override ``synchronize`` before its times mean anything.
