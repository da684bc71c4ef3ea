"""The page of the device benchmark says what was measured, on what, and whether a goal is reached."""

import json

import pytest

from benchmarks import device
from benchmarks._device_work import Timing, peak


def timing(work="moments", share=0.5, kind="NVIDIA H200"):
    return Timing(kind, work, "float32", 1000, 0.001, 3, 1e6, 36e6, share, share)


def record(accelerator):
    kind = "NVIDIA H200" if accelerator else "cpu"
    rows = [vars(timing("moments", 0.5, kind)), vars(timing("histogram pass", 0.5, kind))]
    return {
        "device": kind,
        "accelerator": accelerator,
        "moved_coefficients": 3,
        "machine": {"jax": "0"},
        "rows": rows,
    }


def test_a_goal_is_missed_or_reached():
    text = device.section(record(accelerator=True))
    assert "60% of the bandwidth for moments is missed, with 50%" in text
    assert "40% of the bandwidth for histogram pass is reached, with 50%" in text
    assert "3 of 2,359,296 coefficients" in text


@pytest.mark.parametrize("accelerator", [False, True])
def test_the_page_says_where_no_accelerator_was_at_hand(tmp_path, accelerator):
    (tmp_path / "x.json").write_text(json.dumps(record(accelerator)))
    assert ("No accelerator was at hand" in device.page(tmp_path)) is not accelerator


@pytest.mark.parametrize(
    ("kind", "bandwidth"),
    [("NVIDIA H200", 4.8e12), ("NVIDIA A100-SXM4-80GB", 2.039e12), ("cpu", None)],
)
def test_the_bandwidth_of_the_data_sheet(kind, bandwidth):
    assert peak(kind) == bandwidth


@pytest.mark.slow
def test_a_short_run_measures_every_work_of_the_cpu(tmp_path, capsys):
    device.main(["--seconds", "1", "--out", str(tmp_path)])
    rows = json.loads((tmp_path / "cpu.json").read_text())["rows"]
    works = ["moments", "quality", "histogram pass", "orthogonality"]
    assert [row["work"] for row in rows] == [*works, *works, "scan from host memory"]
    assert all(row["seconds"] > 0 and row["kernels"] > 0 for row in rows)
    assert "No accelerator was at hand" in capsys.readouterr().out
