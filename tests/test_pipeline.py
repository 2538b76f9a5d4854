"""Synthetic pictures and batches: reproducible, labelled, every set in every batch."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import ConcatDataset, TensorDataset

from iqassay.data.datasets import read_ratings
from iqassay.data.distortions import KINDS
from iqassay.data.pipeline import MixedBatches, RatedPictures, SyntheticPictures
from iqassay.data.synthetic import SyntheticConfig, make, pristine_files, render


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    for seed in range(3):
        grid = np.random.default_rng(seed).random((10, 14, 3))
        Image.fromarray((grid * 255).astype(np.uint8)).resize((140, 100), Image.Resampling.BICUBIC).save(
            folder / f"{seed}.png"
        )
    return folder


def test_a_rendered_set_is_the_same_on_every_run_and_any_number_of_processes(photos, tmp_path):
    config = SyntheticConfig(count=24, size=64)
    files = pristine_files([photos])
    one, two = render(files, config, tmp_path / "a", processes=1), render(files, config, tmp_path / "b", processes=2)
    np.testing.assert_array_equal(one.pixels, two.pixels)
    np.testing.assert_array_equal(one.score, two.score)
    assert render(files, config, tmp_path / "a").pixels.shape == (24, 64, 64, 3)  # from the cache
    assert not np.array_equal(
        render(files, SyntheticConfig(count=24, size=64, seed=1), tmp_path / "a").pixels, one.pixels
    )


def test_labels_say_what_was_done():
    photo = Image.fromarray(np.random.default_rng(0).integers(0, 255, (80, 90, 3), dtype=np.uint8))
    only = SyntheticConfig(size=64, kinds=("jpeg", "white_noise"), untouched=0, chained=0, restored=0)
    for seed in range(6):
        picture, reference, labels = make(photo, only, np.random.default_rng(seed))
        kind, severity = labels[1:27], labels[27:]
        assert picture.shape == reference.shape == (64, 64, 3)
        assert not np.array_equal(picture, reference)
        assert kind.sum() == 1
        assert KINDS[int(kind.argmax())] in only.kinds
        assert 1 <= severity[kind.argmax()] <= 5
        assert (severity >= 0).sum() == 1
    untouched = make(photo, SyntheticConfig(size=64, untouched=1), np.random.default_rng(0))[2]
    assert untouched[26] == 1
    assert (untouched[27:] == -1).all()
    restored = make(photo, SyntheticConfig(size=64, untouched=0, restored=1), np.random.default_rng(0))[2]
    assert (restored[1:] == -1).all()
    assert untouched[0] > restored[0]


def test_every_set_is_in_every_batch_and_a_resumed_epoch_is_the_same():
    data = ConcatDataset([TensorDataset(torch.zeros(n)) for n in (5, 50, 20)])
    sampler = MixedBatches(data, [1, 2, 1], 8, 10, seed=0)
    batches = list(sampler)
    assert len(batches) == len(sampler) == 10
    for batch in batches:
        where = np.searchsorted([5, 55, 75], batch, side="right")
        assert np.bincount(where, minlength=3).tolist() == [2, 4, 2]
    first_set = [i for batch in batches for i in batch if i < 5]
    assert sorted(first_set[:5]) == [0, 1, 2, 3, 4]  # gone through whole before any comes again
    sampler.set_epoch(3)
    third = list(sampler)
    again = MixedBatches(data, [1, 2, 1], 8, 10, seed=0)
    again.set_epoch(3)
    assert list(again) == third != batches


def test_shares_must_fit_the_sets():
    with pytest.raises(ValueError, match="got 1 shares for 2 data sets"):
        MixedBatches(ConcatDataset([TensorDataset(torch.zeros(3))] * 2), [1], 4, 1, 0)


def test_samples_of_both_sources_stack(photos, tmp_path):
    (tmp_path / "set.csv").write_text("image,mos,split\n0.png,20,train\n1.png,80,train\n2.png,50,val\n")
    ratings = read_ratings(tmp_path / "set.csv", photos)
    rated = RatedPictures(ratings, 0, 64, True, (50, 10), [1.0, 0.5])
    made = SyntheticPictures(
        render(pristine_files([photos]), SyntheticConfig(count=4, size=64), tmp_path), 1, 64, True, (50, 10)
    )
    batch = torch.utils.data.default_collate([rated[0], rated[1], made[0], made[1]])
    assert batch["x"].shape == (4, 3, 64, 64)
    assert batch["x"].min() >= 0
    assert batch["x"].max() <= 1
    assert batch["score"][:2].tolist() == [-3, 3]
    assert (batch["kind"][:2] == -1).all()
    assert batch["dataset"].tolist() == [0, 0, 1, 1]


def test_rated_photos_are_read_by_the_one_policy(tmp_path):
    """Upright, as the scorer reads them, whatever the EXIF orientation."""
    picture = Image.fromarray(np.linspace(0, 255, 64 * 64, dtype=np.uint8).reshape(64, 64)).convert("RGB")
    exif = Image.Exif()
    exif[0x0112] = 3  # lies upside down in the file
    picture.save(tmp_path / "a.png")
    picture.rotate(180).save(tmp_path / "b.png", exif=exif)
    (tmp_path / "set.csv").write_text("image,mos\na.png,20\nb.png,80\n")
    rated = RatedPictures(read_ratings(tmp_path / "set.csv"), 0, 64, False, (50, 10), [1.0])
    torch.testing.assert_close(rated[0]["x"], rated[1]["x"])


def test_validation_crops_never_change(photos, tmp_path):
    (tmp_path / "set.csv").write_text("image,mos\n0.png,20\n1.png,80\n")
    rated = RatedPictures(read_ratings(tmp_path / "set.csv", photos), 0, 64, False, (50, 10), [1.0, 0.75])
    torch.testing.assert_close(rated[0]["x"], rated[0]["x"])


def test_no_photos_is_a_plain_error(tmp_path):
    with pytest.raises(ValueError, match="want a folder of clean photos"):
        pristine_files([tmp_path])
