"""Which library for the decoder of my network?
============================================

``unet.toml``, next to this file, lists the layers. ``choose`` measures all of them as one function
on each library, then one by one.

:doc:`/decoder` explains the answer.
"""

# %%
import json
import subprocess
import sys
from pathlib import Path

from unpool_xp.bench.cases.layers import read_layers

file = Path(__file__).with_name("unet.toml")
decoder = read_layers(file)

# %%
# First the shapes. Nothing is measured yet; a layer that does not fit would be reported with its
# line.

# %%
print("the layers, with all their channels:")
for layer, part in zip(decoder.layers, decoder.parts, strict=True):
    print(f"  {layer['name']}: {part.operation} {part.shape} to {part.output_shape}")

# %%
# Then the question. The answer takes the 40 seconds of ``--budget``, enough for all layers on two
# cores. A sixteenth of the channels is enough for an example; leave ``--scale-channels`` out for
# the network itself.

# %%
question = "--scale-channels 0.0625 --backend numpy --backend torch --budget 40 --json"
command = [sys.executable, "-m", "unpool_xp", "choose", "--layers", str(file), *question.split()]
done = subprocess.run(command, capture_output=True, text=True)
if done.returncode:
    sys.exit(done.stderr)
answer = json.loads(done.stdout)

print("the whole, with a sixteenth of them:")
for entry in answer["ranking"]:
    if entry["seconds"] is not None:
        print(f"{entry['name']:40} {1e3 * entry['seconds']:.2f} ms")
print("use", " or ".join(answer["use"]))

# %%
# ``code`` is Python for the whole, with the fastest library.

# %%
for line in answer["code"]:
    print(f"  {line}")

# %%
# ``layers`` shows where the time goes: ``use`` for each layer, and ``share_of_whole``, its time on
# the winner over the time of the whole. If the budget was too short for a layer, the share is null.

# %%
print("the share of each layer:")
for layer in answer["layers"]:
    share = layer["share_of_whole"]
    print(f"  {layer['layer']}:", f"{share:.0%}" if share else "not measured in the budget")
print("goes in:", answer["case"]["shape"])
print("comes out:", answer["layers"][-1]["output_shape"])

# %%
# It printed, on two cores of an Intel Xeon:
#
# .. literalinclude:: ../../examples/output/unet_decoder.txt
#    :language: text
