"""How many processors a process may use, told by files like those of Linux in containers."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from iqassay.scoring.model_file import default_threads
from iqassay.support import processors as module
from iqassay.support.processors import cpu_quota, processors


def machine(root: Path, own: str, mount: str, **files: str) -> Path:
    """A tree with /proc and the files of control groups; `files` are named by path, __ for / and _DOT_ for a dot."""
    for path, text in {
        "proc/self/cgroup": own,
        "proc/self/mountinfo": f"21 1 0:20 / / rw - ext4 /dev/sda rw\n{mount}\n",
        **{name.replace("__", "/").replace("_DOT_", "."): text for name, text in files.items()},
    }.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    return root


V2 = "30 21 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate"


def test_a_container_of_the_second_version(tmp_path: Path) -> None:
    """In its own namespace the group of a container is the top."""
    root = machine(tmp_path, "0::/\n", V2, sys__fs__cgroup__cpu_DOT_max="150000 100000\n")
    assert cpu_quota(root) == 1.5


def test_no_limit(tmp_path: Path) -> None:
    assert cpu_quota(machine(tmp_path / "a", "0::/\n", V2, sys__fs__cgroup__cpu_DOT_max="max 100000\n")) is None
    assert cpu_quota(machine(tmp_path / "b", "0::/\n", V2)) is None, "the top of a machine has no such file"
    assert cpu_quota(tmp_path / "nothing") is None, "another system"
    first = machine(
        tmp_path / "c",
        "4:cpu,cpuacct:/\n",
        "31 21 0:27 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct",
        sys__fs__cgroup__cpu__cpu_DOT_cfs_quota_us="-1\n",
        sys__fs__cgroup__cpu__cpu_DOT_cfs_period_us="100000\n",
    )
    assert cpu_quota(first) is None


def test_the_smallest_grant_around_it_counts(tmp_path: Path) -> None:
    root = machine(
        tmp_path,
        "0::/work.slice/job\n",
        V2,
        sys__fs__cgroup__work_DOT_slice__cpu_DOT_max="50000 100000\n",
        sys__fs__cgroup__work_DOT_slice__job__cpu_DOT_max="300000 100000\n",
        sys__fs__cgroup__other__cpu_DOT_max="10000 100000\n",
    )
    assert cpu_quota(root) == 0.5


def test_the_first_version_with_a_mount_that_shows_a_part(tmp_path: Path) -> None:
    """As Docker mounts it without a namespace: the path of the process goes on from the root of the mount."""
    root = machine(
        tmp_path,
        "12:memory:/docker/abc\n5:cpu,cpuacct:/docker/abc/inner\n0::/elsewhere\n",
        "32 21 0:27 /docker/abc /sys/fs/cgroup/cpu\\040time rw - cgroup cgroup rw,cpu,cpuacct",
        **{
            "sys__fs__cgroup__cpu time__cpu_DOT_cfs_quota_us": "400000\n",
            "sys__fs__cgroup__cpu time__cpu_DOT_cfs_period_us": "100000\n",
            "sys__fs__cgroup__cpu time__inner__cpu_DOT_cfs_quota_us": "250000\n",
            "sys__fs__cgroup__cpu time__inner__cpu_DOT_cfs_period_us": "100000\n",
        },
    )
    assert cpu_quota(root) == 2.5


@pytest.mark.parametrize("text", ["", "max", "0 0", "-5 100", "a b", "1 2 3", "inf 1", "nan 1"])
def test_nonsense_is_no_limit(tmp_path: Path, text: str) -> None:
    assert cpu_quota(machine(tmp_path, "0::/\n", V2, sys__fs__cgroup__cpu_DOT_max=text)) is None


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="this system has no CPU affinity")
def test_the_smaller_of_affinity_and_quota(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3})
    for quota, wanted in [(None, 4), (0.2, 1), (1.0, 1), (1.5, 2), (8.0, 4)]:
        monkeypatch.setattr(module, "cpu_quota", lambda quota=quota: quota)
        assert (processors(), default_threads()) == (wanted, wanted)
