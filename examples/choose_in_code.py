# %% [markdown]
# # Ask which library to use, and use it
#
# `unpool-xp choose --json` measures here and now and answers in JSON, so that a program can act on
# it: say, when a service starts on a machine that nobody has seen.

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

# %% [markdown]
# The ranking has an entry for each backend, mode and function, the quickest first: a library's own
# functions stand beside the portable one. `use` names the first and those that are as fast. Each
# has a 95 % interval, too, whose upper end is null after fewer than three samples.

# %%
for entry in answer["ranking"]:
    if entry["seconds"] is None:
        print(f"{entry['name']:28} no time: {entry['reason']}")
    else:
        print(f"{entry['name']:28} {1e3 * entry['seconds']:.2f} ms")
print("use", " or ".join(answer["use"]))

# %% [markdown]
# `code` does it with the first of them, in the library's own words if that is what is the fastest.

# %%
print(*answer["code"], sep="\n")

# %% [markdown]
# `portable` has the fastest library for the portable function: its label, with the mode behind it
# where that is "compiled".

# %%
label, _, mode = answer["portable"]["use"].partition(" ")
backend = backends.load(label)


def unpool(values, indices):
    return ux.max_unpool(values, indices, 2)


run = backend.compile(unpool) if mode == "compiled" else unpool

values = np.random.default_rng(0).standard_normal((4, 32, 56, 56)).astype(np.float32)
# Each maximum at the upper left of its window.
rows, columns = np.meshgrid(2 * np.arange(56), 2 * np.arange(56), indexing="ij")
indices = np.broadcast_to(rows * 112 + columns, values.shape).astype(np.int64)

arrays = [backend.asarray(array) for array in (values, indices)]
unpooled = backend.to_numpy(run(*arrays))
print("unpooled to", unpooled.shape)
print("each maximum in its place:", bool((unpooled[..., ::2, ::2] == values).all()))
