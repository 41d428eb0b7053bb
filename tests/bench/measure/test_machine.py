"""The fingerprint: complete, stable, and read back as written."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from unpool_xp.bench.measure import machine
from unpool_xp.bench.measure.host import nvidia
from unpool_xp.bench.measure.machine import Machine, machine_id, read_machines, this_machine

HARDWARE: dict[str, Any] = {
    "cpu": "Intel(R) Xeon(R) Platinum 8480C CPU @ 2.00GHz",
    "architecture": "x86_64",
    "physical_cores": 4,
    "logical_cores": 8,
    "caches": {"L2": 2**20},
    "memory_bytes": 16 * 2**30,
    "gpus": (),
}


def test_this_machine_is_described():
    here = this_machine()
    assert 1 <= here.physical_cores <= here.logical_cores
    assert here.memory_bytes > 2**20
    assert here.cpu
    assert re.fullmatch(r"[a-z0-9-]+-\d+core-[0-9a-f]{6}", here.id)
    assert json.loads(json.dumps(here.to_json())) == here.to_json()


def test_the_environment_is_read_anew_and_the_hardware_once(monkeypatch):
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Haswell")
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.setenv("SECRET_TOKEN", "x")
    before = this_machine()
    assert before.environment["OPENBLAS_CORETYPE"] == "Haswell"
    assert before.environment["OMP_NUM_THREADS"] == "3"
    assert "SECRET_TOKEN" not in before.environment
    monkeypatch.delenv("OMP_NUM_THREADS")
    monkeypatch.setattr(machine.psutil, "virtual_memory", pytest.fail)
    after = this_machine()
    assert "OMP_NUM_THREADS" not in after.environment
    assert after.id == before.id


def test_the_slug_is_readable():
    assert re.fullmatch(r"intel-xeon-platinum-8480c-4core-[0-9a-f]{6}", machine_id(HARDWARE))
    assert machine_id({**HARDWARE, "cpu": "日本"}).startswith("cpu-4core-")


def test_other_hardware_has_another_id_and_a_little_less_memory_the_same():
    other = {
        "cpu": "Intel(R) Xeon(R) Platinum 8480C CPU @ 3.00GHz",
        "logical_cores": 4,
        "physical_cores": 2,
        "caches": {"L2": 2**21},
        "memory_bytes": 32 * 2**30,
        "gpus": ("A GPU",),
    }
    ids = {machine_id({**HARDWARE, name: value}) for name, value in other.items()}
    assert len(ids | {machine_id(HARDWARE)}) == 7
    less = {**HARDWARE, "memory_bytes": HARDWARE["memory_bytes"] - 50 * 2**20}
    assert machine_id(less) == machine_id(HARDWARE)


def test_a_limit_of_the_container_makes_another_machine():
    none = machine_id({**HARDWARE, "cpu_quota": None, "memory_limit_bytes": None})
    ids = {
        machine_id({**HARDWARE, **limits})
        for limits in (
            {"cpu_quota": 0.4},
            {"cpu_quota": 2.0},
            {"memory_limit_bytes": 2**30},
            {"cpu_quota": 0.4, "memory_limit_bytes": 2**30},
        )
    }
    assert none == machine_id(HARDWARE)
    assert len({none, *ids}) == 5


def test_the_committed_machines_keep_their_ids():
    files = sorted((Path(__file__).parents[3] / "results" / "sweeps").rglob("machine.json"))
    assert files
    for file in files:
        facts = json.loads(file.read_text(encoding="utf-8"))
        assert machine_id(facts) == facts["id"] == file.parent.name
        assert Machine.from_json(facts).cpu_quota is None


@pytest.mark.parametrize(
    ("quota", "limit", "told"),
    [
        (0.4, 2**30, (0.4, 2**30)),
        (None, None, (None, None)),
        (1e6, 2**61, (None, None)),  # more than the machine has
    ],
)
def test_limits_of_the_container_are_told(monkeypatch, quota, limit, told):
    monkeypatch.setattr(machine, "cpu_quota", lambda: quota)
    monkeypatch.setattr(machine, "memory_limit", lambda: limit)
    facts = machine._hardware.__wrapped__()
    assert (facts["cpu_quota"], facts["memory_limit_bytes"]) == told


def test_machines_are_found_in_folders_and_beside_files(tmp_path):
    here = this_machine()
    path = machine.write_machine(tmp_path / here.id)
    assert path.name == "machine.json"
    assert read_machines([tmp_path]) == ({here.id: here}, [])
    assert read_machines([path.with_name("run.jsonl")]) == ({here.id: here}, [])


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"id": "x"}', '"gpus"'])
def test_what_is_no_machine_is_left_out_and_told(tmp_path, text):
    path = tmp_path / "machine.json"
    path.write_text(text)
    machines, (problem,) = read_machines([tmp_path])
    assert (machines, problem.path, problem.line) == ({}, path, 1)


SMI = """#!/bin/sh
echo "$@" >> {folder}/asked
case "$1" in
  --query-gpu=name) echo "Made-up GPU"; echo "Made-up GPU" ;;
  --query-gpu=index) echo 0; echo 1 ;;
  --query-gpu=clocks.sm) echo "{clock}" ;;
  *) echo "Made-up GPU, 1.2.3, 345 MHz, 1980 MHz, 2619 MHz, 2619 MHz, 700.00 W, 31" ;;
esac
"""


@pytest.fixture
def put_smi(tmp_path, monkeypatch):
    """Write a made-up command of the driver; there is no other on the path."""
    monkeypatch.setenv("PATH", str(tmp_path))

    def put(text):
        command = tmp_path / "nvidia-smi"
        command.write_text(text)
        command.chmod(0o755)

    return put


def test_the_driver_is_asked_for_clocks_and_their_maximum(put_smi, tmp_path):
    put_smi(SMI.format(folder=tmp_path, clock=""))
    assert nvidia.query(["name"]) == [{"name": "Made-up GPU"}] * 2
    (facts,) = nvidia.query(nvidia.FACTS)
    assert (facts["clocks.sm"], facts["clocks.max.sm"]) == ("345 MHz", "1980 MHz")
    assert facts["power.limit"] == "700.00 W"
    told = structs.replace(this_machine(), gpu_facts=(facts,))
    assert Machine.from_json(json.loads(json.dumps(told.to_json()))) == told


@pytest.mark.parametrize(("clock", "number"), [("1755 MHz", 1755), ("[N/A]", None), ("", None)])
def test_the_clock_is_that_of_the_first_gpu_in_use(put_smi, tmp_path, monkeypatch, clock, number):
    put_smi(SMI.format(folder=tmp_path, clock=clock))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,1")
    for label, which in (("torch:cuda", "3"), ("cupy:cuda:1", "1"), ("jax:cuda:2", "2")):
        assert nvidia.clock_mhz(label) == number
        assert (tmp_path / "asked").read_text().strip().endswith(f"-i {which}")


def test_each_gpu_has_a_label(put_smi, tmp_path, monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert nvidia.device_labels("torch:cuda") == ["torch:cuda"]  # there is no driver
    put_smi(SMI.format(folder=tmp_path, clock=""))
    assert nvidia.device_labels("torch:cuda") == ["torch:cuda", "torch:cuda:1"]
    for visible, number in (("", 1), ("1", 1), ("3,1,0", 3)):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
        assert len(nvidia.device_labels("cupy:cuda")) == number
    assert nvidia.on_cuda("jax:cuda:1")
    assert not nvidia.on_cuda("mlx:gpu")


@pytest.mark.parametrize("text", [None, "#!/bin/sh\nexit 9\n"])
def test_without_a_driver_that_answers_there_is_no_gpu(put_smi, text):
    if text is not None:
        put_smi(text)
    assert nvidia.query(nvidia.FACTS) == []
    assert nvidia.clock_mhz("torch:cuda") is None


def test_machines_of_before_have_no_facts_of_gpus():
    old = {k: v for k, v in this_machine().to_json().items() if k != "gpu_facts"}
    assert Machine.from_json(old).gpu_facts == ()
    with pytest.raises(ValueError, match=r"is not a machine.*gpu_facts"):
        Machine.from_json({**old, "gpu_facts": [{"name": 3}]})


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes with a name")
def test_a_pipe_is_no_machine(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "machine.json")
    machines, (problem,) = read_machines([tmp_path])
    assert (machines, problem.reason) == ({}, "is not a file")
