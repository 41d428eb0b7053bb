"""Ask which library to use, and use it
====================================

For programs that run on unknown machines. ``unpool-xp choose --json`` measures here and now and
answers in JSON, so that a service can choose its library when it starts. What this page shows was
printed on one machine, with two cores that other programs used, too.
"""

# %%
import json
import subprocess
import sys

import numpy as np

import unpool_xp as ux
from unpool_xp import backends

question = "choose max_unpool --shape 4,32,56,56 --kernel 2 --json"
question += " --backend numpy --backend torch --budget 10"
# In a shell: unpool-xp choose ...
done = subprocess.run(
    [sys.executable, "-m", "unpool_xp", *question.split()], capture_output=True, text=True
)
if done.returncode:
    sys.exit(done.stderr)
answer = json.loads(done.stdout)

# %%
# The ranking has an entry for each backend, mode and function, the fastest first: the libraries'
# own functions and the portable one. ``use`` names the first and those tied with it. Each has a 95
# % interval, whose upper end is null after fewer than three samples.

# %%
for entry in answer["ranking"]:
    if entry["seconds"] is None:
        print(f"{entry['name']:28} no time: {entry['reason']}")
    else:
        print(f"{entry['name']:28} {1e3 * entry['seconds']:.2f} ms")
print("use", " or ".join(answer["use"]))

# %%
# ``code`` is Python for the first of them, with the library's own function if that is the fastest.

# %%
print(*answer["code"], sep="\n")

# %%
# ``portable`` names the fastest library for the portable function, followed by "compiled" if it is.

# %%
label, _, mode = answer["portable"]["use"].partition(" ")
backend = backends.load(label)


def unpool(values, indices):
    return ux.max_unpool(values, indices, 2)


run = backend.compile(unpool) if mode == "compiled" else unpool

values = np.random.default_rng(0).standard_normal((4, 32, 56, 56)).astype(np.float32)
# Each maximum is at the upper left of its window.
rows, columns = np.meshgrid(2 * np.arange(56), 2 * np.arange(56), indexing="ij")
indices = np.broadcast_to(rows * 112 + columns, values.shape).astype(np.int64)

arrays = [backend.asarray(array) for array in (values, indices)]
unpooled = backend.to_numpy(run(*arrays))
print("unpooled to", unpooled.shape)
print("each maximum in its place:", bool((unpooled[..., ::2, ::2] == values).all()))

# %%
# It printed:
#
# .. literalinclude:: ../../examples/output/choose_in_code.txt
#    :language: text
