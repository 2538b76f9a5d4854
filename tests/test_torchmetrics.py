"""The metric of torchmetrics: the scorer's own numbers, sums that add up across processes, and no picture kept."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torchmetrics import MetricCollection
from torchmetrics.image import PeakSignalNoiseRatio

import iqassay
from iqassay.support.install import install_command
from iqassay.torchmetrics import QualityScore


def pictures(count: int = 3, seed: int = 0, size: tuple[int, int] = (64, 80)) -> torch.Tensor:
    """(count, 3, H, W) bytes of different brightness."""
    rng = np.random.default_rng(seed)
    base = rng.integers(20, 200, (count, 1, 1, 1)) + rng.integers(-20, 21, (count, 3, *size))
    return torch.from_numpy(base.astype(np.uint8))


def scores(model: Path, images: torch.Tensor, references: torch.Tensor | None = None) -> list[float]:
    """What the scorer says of the same pixels."""
    scorer = iqassay.load(str(model), threads=1)
    beside = [None] * len(images) if references is None else [r.permute(1, 2, 0).numpy() for r in references]
    return [scorer.score(x.permute(1, 2, 0).numpy(), r).score for x, r in zip(images, beside, strict=True)]


@pytest.mark.parametrize("as_read", [lambda x: x, lambda x: x.float() / 255, lambda x: x.double() / 255])
def test_its_numbers_are_the_scorers(tiny_model, pair_model, as_read):
    images, references = as_read(pictures()), as_read(pictures(seed=1))
    alone, paired = QualityScore(tiny_model, reduction="none"), QualityScore(pair_model, True, reduction="none")
    assert alone(images).tolist() == pytest.approx(scores(tiny_model, images), abs=1e-5)
    assert paired(images, references).tolist() == pytest.approx(scores(pair_model, images, references), abs=1e-5)
    mean = QualityScore(pair_model, reference=True)
    assert mean(images, references).item() == pytest.approx(np.mean(scores(pair_model, images, references)), abs=1e-5)


def test_half_precision_is_read_as_it_is(tiny_model):
    images = (pictures() / 255).half()
    assert QualityScore(tiny_model)(images).item() == pytest.approx(np.mean(scores(tiny_model, images.float())))


def test_the_mean_is_over_pictures_however_they_are_cut_into_batches(tiny_model):
    images = pictures(7)
    whole, parts = QualityScore(tiny_model), QualityScore(tiny_model)
    whole.update(images)
    batch_values = [parts(batch).item() for batch in images.split([1, 4, 2])]
    assert batch_values[1] == pytest.approx(np.mean(scores(tiny_model, images[1:5])), abs=1e-5)
    assert parts.compute() == whole.compute()  # exactly
    assert whole.compute().shape == ()
    assert whole.compute().item() == pytest.approx(np.mean(scores(tiny_model, images)), abs=1e-5)


def test_only_sums_are_kept(tiny_model):
    """Trap 6: metrics that gather pictures until memory ends."""
    metric = QualityScore(tiny_model)
    for seed in range(3):
        metric.update(pictures(2, seed))
    assert {name: tuple(getattr(metric, name).shape) for name in metric._defaults} == {
        "which": (),
        "total": (),
        "count": (),
    }
    assert not any(value.numel() > 1 for value in vars(metric).values() if isinstance(value, torch.Tensor))


def test_reset_and_nothing_seen(tiny_model):
    metric = QualityScore(tiny_model)
    metric.update(pictures())
    metric.reset()
    with pytest.warns(UserWarning, match="before the ``update``"):
        assert torch.isnan(metric.compute())
    metric.update(pictures(2, seed=5))
    assert metric.compute().item() == pytest.approx(np.mean(scores(tiny_model, pictures(2, seed=5))), abs=1e-5)


@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_states_of_two_processes_add_up(tiny_model, reduction):
    first, second, whole = (QualityScore(tiny_model, reduction=reduction) for _ in range(3))
    first.update(pictures(3))
    second.update(pictures(2, seed=1))
    whole.update(torch.cat([pictures(3), pictures(2, seed=1)]))
    other = [getattr(second, name) for name in second._defaults]
    other = [torch.cat(state) if isinstance(state, list) else state for state in other]
    synced = QualityScore(
        tiny_model,
        reduction=reduction,
        dist_sync_fn=lambda state, group: [state, other.pop(0)],
        distributed_available_fn=lambda: True,
    )
    synced.update(pictures(3))
    assert torch.equal(synced.compute(), whole.compute())
    first.merge_state(second)
    merged = first.compute()
    assert torch.equal(merged.sort().values, whole.compute().sort().values)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda m: m.clone(), lambda m: pickle.loads(pickle.dumps(m))])
def test_copies_go_on_from_where_they_were(tiny_model, copied):
    metric, whole = QualityScore(tiny_model), QualityScore(tiny_model)
    metric.update(pictures(2))
    twin = copied(metric)
    twin.update(pictures(3, seed=1))
    whole.update(torch.cat([pictures(2), pictures(3, seed=1)]))
    assert twin.compute() == whole.compute()
    assert metric.compute().item() == pytest.approx(np.mean(scores(tiny_model, pictures(2))), abs=1e-5)


def test_clones_share_the_open_model(tiny_model):
    metric = QualityScore(tiny_model)
    assert metric.clone().opened.scorer is metric.opened.scorer


def test_in_a_collection_beside_another_metric(pair_model):
    images, references = pictures() / 255, pictures(seed=1) / 255
    both = MetricCollection({"quality": QualityScore(pair_model, True), "psnr": PeakSignalNoiseRatio(data_range=1.0)})
    both.update(images, references)
    found = both.compute()
    assert found["quality"].item() == pytest.approx(np.mean(scores(pair_model, images, references)), abs=1e-5)
    assert found["psnr"] > 0


def test_a_collection_never_takes_two_models_for_one(pair_model):
    both = {"psnr": QualityScore("psnr", True), "other": QualityScore(pair_model, True)}
    both |= {"haarpsi": QualityScore("haarpsi", True), "again": QualityScore("haarpsi", True)}
    collection, images, references = MetricCollection(both), pictures(), pictures(seed=1)
    collection.update(images, images)  # 100 by each measure
    collection.update(images, references)
    alone = QualityScore("haarpsi", True)
    alone.update(images, images)
    alone.update(images, references)
    found = collection.compute()
    assert found["haarpsi"] == found["again"] == alone.compute()
    assert found["haarpsi"] != found["psnr"]
    assert [sorted(group) for group in collection.compute_groups.values() if len(group) > 1] == [["again", "haarpsi"]]


def test_what_torchmetrics_asks_of_a_metric(tiny_model):
    assert QualityScore.higher_is_better
    assert not QualityScore.is_differentiable
    assert not QualityScore.full_state_update
    assert (QualityScore.plot_lower_bound, QualityScore.plot_upper_bound) == iqassay.Scorer.score_range
    images = (pictures() / 255).requires_grad_(True)
    assert not QualityScore(tiny_model)(images).requires_grad


def test_it_can_be_drawn(tiny_model):
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    metric = QualityScore(tiny_model)
    metric.update(pictures())
    _, axes = metric.plot()
    low, high = axes.get_ylim()
    assert low <= 0
    assert high >= 100


@pytest.mark.parametrize(
    ("images", "error"),
    [
        (pictures().float(), r"got samples of type float32 from .* want 0 to 1"),
        (pictures() / 255 * 2 - 1, r"got samples of type float32 from -.* want 0 to 1"),
        (torch.full((1, 3, 64, 64), float("nan")), "not-a-number"),
        (pictures().permute(0, 2, 3, 1), r"got images of shape \(3, 64, 80, 3\), want \(B, 3, H, W\)"),
        (pictures()[0], r"got images of shape \(3, 64, 80\), want \(B, 3, H, W\)"),
        (pictures()[:, :1], r"got images of shape \(3, 1, 64, 80\)"),
        (pictures().long(), r"got images of torch.int64, want torch.uint8, or floats in \[0, 1\]"),
    ],
)
def test_wrong_pictures_are_one_plain_line_and_change_nothing(tiny_model, images, error):
    metric = QualityScore(tiny_model)
    metric.update(pictures(2))
    before = metric.compute()
    with pytest.raises(ValueError, match=error) as caught:
        metric.update(images)
    assert "\n" not in str(caught.value)
    assert metric.count == 2
    assert metric.total / metric.count / 1_000_000 == before


def test_one_bad_picture_of_a_batch_counts_none_of_them(tiny_model):
    metric, images = QualityScore(tiny_model), pictures() / 255
    images[2, 0, 0, 0] = 7
    with pytest.raises(ValueError, match="want 0 to 1"):
        metric.update(images)
    assert metric.count == 0


def test_references_where_they_belong(tiny_model, pair_model):
    with pytest.raises(ValueError, match="references: got none, want some, since the metric has reference=True"):
        QualityScore(pair_model, reference=True).update(pictures())
    with pytest.raises(ValueError, match="references: got some, want none, since the metric has reference=False"):
        QualityScore(pair_model).update(pictures(), pictures())
    with pytest.raises(ValueError, match=r"of \(3, 3, 64, 96\), want the same"):
        QualityScore(pair_model, True).update(pictures(), pictures(size=(64, 96)))
    with pytest.raises(ValueError, match="got the model 'tiny' and reference=True, want one that takes references"):
        QualityScore(tiny_model, reference=True)
    with pytest.raises(ValueError, match="got the measure 'ssim', which compares: want reference=True"):
        QualityScore("ssim")


def test_other_mistakes(tiny_model):
    with pytest.raises(ValueError, match="got reduction 'sum', want one of mean, none"):
        QualityScore(tiny_model, reduction="sum")
    with pytest.raises(iqassay.ModelFileError, match="did you mean 'panel'"):
        QualityScore("pannel")


def test_a_measure_will_do_too():
    images, references = pictures(2), pictures(2, seed=1)
    assert QualityScore("psnr", True)(images, images).item() == 100
    assert QualityScore("psnr", True)(images, references).item() < 100


def test_without_torch_it_says_what_to_install():
    code = "import sys; sys.modules['torch'] = None; import iqassay.torchmetrics"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.strip().endswith(f"ImportError: this needs torch: {install_command('train')}")
    assert "another exception" not in done.stderr
