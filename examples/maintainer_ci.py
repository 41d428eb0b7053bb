# %% [markdown]
# # Hold your own array library to the oracle
#
# For those who maintain an array library. An entry point names it, and `unpool-xp check` runs
# every operation and dtype on it against a slow and obvious reference. The job in
# `maintainer/check.yml` does that on each push; these lines do what the job does.

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

# %% [markdown]
# `pip install .` would write the entry point of `pyproject.toml` where Python finds it. So that
# nothing is installed here, it is put into a folder for the time being.

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

# %% [markdown]
# Does it find a bug? One can be switched on, which turns the last axis round. The job fails, and
# the file says which operations and dtypes are wrong, and what was found.

# %%
code, counts, suite = job(MY_LIBRARY_HAS_A_BUG="1")
print("with a bug: exit code", code, "failed some:", counts["failures"] > 0)
first = next(case for case in suite.iter("testcase") if case.find("failure") is not None)
print(first.get("classname"), first.get("name"))
print((first.find("failure").get("message") or first.find("failure").text).strip())
