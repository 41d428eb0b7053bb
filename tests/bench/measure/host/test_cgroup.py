"""Limits of a container, from trees of files as the kernel shows them."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from unpool_xp.bench.measure.host import cgroup
from unpool_xp.bench.measure.host.cgroup import available_memory, cpu_quota, memory_limit

GIB = 2**30
V1_NO_LIMIT = "9223372036854771712"


class Tree:
    """Groups with their files, and what /proc says of the process and the mounts."""

    def __init__(self, folder: Path) -> None:
        self.process, self.root = folder / "proc", folder / "sys"
        self.process.mkdir()
        self.mounts: list[str] = ["22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw"]

    def groups(self, *lines: str) -> None:
        (self.process / "cgroup").write_text("".join(f"{line}\n" for line in lines))

    def mount(self, name: str, kind: str, options: str = "rw", part: str = "/") -> None:
        point = str(self.root / name).replace(" ", "\\040")
        self.mounts.append(f"31 22 0:28 {part} {point} ro shared:9 - {kind} {kind} {options}")
        (self.process / "mountinfo").write_text("".join(f"{line}\n" for line in self.mounts))

    def write(self, folder: str, **files: str) -> None:
        """Write files; a dot in a name is written as two underscores."""
        place = self.root / folder
        place.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (place / name.replace("__", ".")).write_text(f"{text}\n")


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tree:
    memory = type("Memory", (), {"available": 100 * GIB})
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory)
    return Tree(tmp_path)


def test_version_2_with_the_limit_of_a_systemd_slice(tree: Tree) -> None:
    tree.groups("0::/user.slice/app.scope")
    tree.mount("cgroup", "cgroup2", "rw,nsdelegate")
    tree.write("cgroup/user.slice", cpu__max="150000 100000", memory__max=str(4 * GIB))
    tree.write("cgroup/user.slice", memory__current=str(GIB))
    tree.write("cgroup/user.slice/app.scope", cpu__max="max 100000", memory__max="max")
    assert cpu_quota(tree.process) == 1.5
    assert memory_limit(tree.process) == 4 * GIB
    assert available_memory(tree.process) == 3 * GIB


def test_the_tightest_limit_on_the_way_up_counts(tree: Tree) -> None:
    tree.groups("0::/a/b/c")
    tree.mount("cgroup", "cgroup2")
    tree.write("cgroup/a", cpu__max="200000 100000", memory__max=str(2 * GIB), memory__current="0")
    tree.write("cgroup/a/b", cpu__max="20000 50000", memory__max=str(8 * GIB))
    tree.write("cgroup/a/b", memory__current=str(7 * GIB))
    tree.write("cgroup/a/b/c", cpu__max="100000 100000", memory__max=str(3 * GIB))
    tree.write("cgroup/a/b/c", memory__current="0")
    tree.write("cgroup/a/b/other", cpu__max="1000 100000", memory__max="4096")
    assert cpu_quota(tree.process) == 0.4
    assert memory_limit(tree.process) == 2 * GIB
    assert available_memory(tree.process) == GIB  # what b has left, whose limit is the widest


def test_a_cgroup_namespace_hides_the_way_up(tree: Tree) -> None:
    tree.groups("0::/")
    tree.mount("cgroup", "cgroup2")
    tree.write("cgroup", cpu__max="40000 100000", memory__max=str(GIB), memory__current="4096")
    assert cpu_quota(tree.process) == 0.4
    assert memory_limit(tree.process) == GIB
    assert available_memory(tree.process) == GIB - 4096


@pytest.mark.parametrize("group", ["/../other", "/elsewhere"])
def test_where_the_group_is_out_of_sight_the_mount_counts(tree: Tree, group: str) -> None:
    tree.groups(f"0::{group}")
    tree.mount("cgroup", "cgroup2", part="/docker/1")
    tree.write("cgroup", cpu__max="50000 100000")
    assert cpu_quota(tree.process) == 0.5


def test_version_1_as_docker_mounts_it(tree: Tree) -> None:
    tree.groups("4:memory:/docker/1", "1:cpu,cpuacct:/docker/1", "0::/")
    tree.mount("with space", "cgroup", "rw,cpu,cpuacct", part="/docker/1")
    tree.mount("memory", "cgroup", "rw,memory", part="/docker/1")
    tree.write("with space", cpu__cfs_quota_us="250000", cpu__cfs_period_us="100000")
    tree.write("memory", memory__limit_in_bytes=str(GIB), memory__usage_in_bytes=str(GIB // 2))
    assert cpu_quota(tree.process) == 2.5
    assert memory_limit(tree.process) == GIB
    assert available_memory(tree.process) == GIB // 2


def test_version_1_has_limits_above_and_a_huge_number_for_none(tree: Tree) -> None:
    tree.groups("4:memory:/pod/one", "1:cpu:/pod/one")
    tree.mount("cpu", "cgroup", "rw,cpu")
    tree.mount("memory", "cgroup", "rw,memory")
    tree.write("cpu/pod", cpu__cfs_quota_us="30000", cpu__cfs_period_us="100000")
    tree.write("cpu/pod/one", cpu__cfs_quota_us="-1", cpu__cfs_period_us="100000")
    tree.write("memory/pod", memory__limit_in_bytes=V1_NO_LIMIT, memory__usage_in_bytes="5")
    tree.write("memory/pod/one", memory__limit_in_bytes=V1_NO_LIMIT, memory__usage_in_bytes="5")
    assert cpu_quota(tree.process) == 0.3
    assert memory_limit(tree.process) is None
    assert available_memory(tree.process) == 100 * GIB


def test_both_versions_side_by_side(tree: Tree) -> None:
    tree.groups("1:cpu:/a", "0::/b")
    tree.mount("cpu", "cgroup", "rw,cpu")
    tree.mount("unified", "cgroup2")
    tree.write("cpu/a", cpu__cfs_quota_us="70000", cpu__cfs_period_us="100000")
    tree.write("unified/b", memory__max=str(GIB), memory__current="0")
    assert (cpu_quota(tree.process), memory_limit(tree.process)) == (0.7, GIB)


@pytest.mark.parametrize(
    ("version", "stat"),
    [
        (1, f"inactive_file 7\ntotal_inactive_file {GIB // 4}"),
        (2, f"anon 12\ninactive_file {GIB // 4}"),
    ],
)
def test_cached_files_are_not_in_the_way(tree: Tree, version: int, stat: str) -> None:
    limit, used = ("memory__max", "memory__current")
    tree.groups("0::/a")
    tree.mount("cgroup", "cgroup2")
    if version == 1:
        limit, used = ("memory__limit_in_bytes", "memory__usage_in_bytes")
        tree.groups("1:memory:/a")
        tree.mount("cgroup", "cgroup", "rw,memory")
    tree.write("cgroup/a", **{limit: str(GIB), used: str(GIB)}, memory__stat=stat)
    assert available_memory(tree.process) == GIB // 4


def test_more_than_the_limit_is_none_left(tree: Tree) -> None:
    tree.groups("0::/a")
    tree.mount("cgroup", "cgroup2")
    tree.write("cgroup/a", memory__max="4096", memory__current="8192")
    assert available_memory(tree.process) == 0


@pytest.mark.parametrize("text", ["", "max", "max 100000", "x y", "-5 9", "100 0", "9", "1 2e3"])
def test_what_is_no_quota_is_no_limit(tree: Tree, text: str) -> None:
    tree.groups("0::/a")
    tree.mount("cgroup", "cgroup2")
    tree.write("cgroup/a", cpu__max=text)
    assert cpu_quota(tree.process) is None


@pytest.mark.parametrize("text", ["", "max", "x", "-1", "1.5", "1" * 30, "²"])
def test_what_is_no_number_of_bytes_is_no_limit(tree: Tree, text: str) -> None:
    tree.groups("0::/a")
    tree.mount("cgroup", "cgroup2")
    tree.write("cgroup/a", memory__max=text, memory__current=text)
    assert memory_limit(tree.process) is None
    assert available_memory(tree.process) == 100 * GIB


def test_lines_that_say_nothing_are_passed_over(tree: Tree) -> None:
    tree.groups("no group", "0::/a", "", ":::", "1:cpu", "x:y:/z")
    tree.mounts.append("garbage - cgroup2")
    tree.mount("other", "nfs")
    tree.mount("cgroup", "cgroup2")
    tree.write("cgroup/a", cpu__max="50000 100000")
    assert cpu_quota(tree.process) == 0.5


def test_a_system_without_groups_has_no_limit(tree: Tree) -> None:
    assert cpu_quota(tree.process) is None
    assert memory_limit(tree.process) is None
    assert available_memory(tree.process) == 100 * GIB


def test_this_process_can_be_asked() -> None:
    for folder in cgroup._folders("cpu", Path("/proc/self")):
        assert folder.is_absolute()
    assert (cpu_quota() or 1) > 0
    assert 0 < available_memory() <= psutil.virtual_memory().total
