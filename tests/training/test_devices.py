"""Several devices, here two processes on the CPU, and mixed precision: what a run leaves is what one device leaves."""

import csv
import subprocess
import sys

import numpy as np
import pytest
import torch
from conftest import train_main as main

pytestmark = pytest.mark.slow

TINY = [
    "--smoke",
    "--encoder",
    "van_tiny",
    "--frozen",
    "0",
    "--dan-frozen",
    "0",
    "--tokens",
    "8",
    "--steps",
    "2",
    "--accelerator",
    "cpu",
]


@pytest.mark.parametrize("system", ["mfen", "yoto", "dri"])
def test_mixed_precision_trains(system, paired, tmp_path):
    data = str(paired / "pairs.csv")
    flags = [*TINY, "--epochs", "1", "--precision", "bf16-mixed", "--data", data, "--test-crops", "2"]
    assert main([system, *flags, "--out", str(tmp_path / "run")]) == 0
    state = torch.load(tmp_path / "run/best.ckpt", weights_only=False)["state_dict"]
    floats = [value for value in state.values() if value.is_floating_point()]
    assert all(value.isfinite().all() for value in floats)
    assert {value.dtype for value in floats} == {torch.float32}  # what is kept is as exact as ever
    with np.load(tmp_path / "run/val-0.npz") as kept:
        assert np.isfinite(kept["raw"]).all()


def test_two_devices_train_and_go_on(paired, tmp_path):
    data, out = str(paired / "pairs.csv"), tmp_path / "run"
    command = [
        sys.executable,
        "-m",
        "iqassay",
        "train",
        "yoto",
        *TINY,
        "--devices",
        "2",
        "--data",
        data,
        "--out",
        str(out),
    ]
    for epochs in (1, 2):
        done = subprocess.run([*command, "--epochs", str(epochs)], capture_output=True, text=True, timeout=500)
        assert done.returncode == 0, done.stderr
        assert done.stdout.splitlines() == [str(out / "best.ckpt")]  # by the first of the two alone
        assert "Traceback" not in done.stderr
    assert torch.load(out / "last.ckpt", weights_only=False)["global_step"] == 4
    logs = []
    for name in ("metrics-1.csv", "metrics.csv"):  # neither process takes the other's log for an older one
        with (out / name).open() as stream:
            logs.append({row["epoch"] for row in csv.DictReader(stream)})
    assert logs == [{"0"}, {"1"}]
    assert len(list(out.glob("metrics-*.csv"))) == 1
    with np.load(out / "val-0.npz") as kept:
        assert len(kept["raw"]) == 2 * 8  # both go through all four pictures, in both modes
