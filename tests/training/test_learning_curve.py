"""The learning curve of a run that went on several times."""

import os

from iqassay.training.learning_curve import draw_curve, logged


def test_logs_follow_one_another_by_their_numbers_whenever_they_were_copied(tmp_path):
    """They were ordered by when their files had changed, which copying a folder forgets."""
    for i, name in enumerate(("metrics.csv", "metrics-10.csv", "metrics-2.csv", "metrics-1.csv")):
        (tmp_path / name).write_text(f"epoch,val/srcc\n{3 - i},0.{3 - i}\n")
        os.utime(tmp_path / name, (1000 + i, 1000 + i))
    assert [row["epoch"] for row in logged(tmp_path)] == ["0", "1", "2", "3"]
    draw_curve(tmp_path)
    assert (tmp_path / "curve.png").stat().st_size > 1000
