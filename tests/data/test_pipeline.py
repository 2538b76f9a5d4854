"""Synthetic pictures and batches: reproducible, labelled, every set in every batch."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import ConcatDataset, TensorDataset

from iqassay.data.distortions import KINDS
from iqassay.data.pipeline import MixedBatches, RatedPictures, SyntheticPictures
from iqassay.data.ratings import read_ratings
from iqassay.data.synthetic import SyntheticConfig, SyntheticSet, make, pristine_files, render


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    for seed in range(3):
        grid = np.random.default_rng(seed).random((10, 14, 3))
        Image.fromarray((grid * 255).astype(np.uint8)).resize((140, 100), Image.Resampling.BICUBIC).save(
            folder / f"{seed}.png"
        )
    return folder


@pytest.mark.slow
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


def test_a_share_of_0_is_none():
    """It was two pictures of every batch."""
    data = ConcatDataset([TensorDataset(torch.zeros(n)) for n in (5, 10, 20, 40)])
    assert {i for batch in MixedBatches(data, [0, 1, 0, 1], 8, 20, 0) for i in batch} <= {*range(5, 15), *range(35, 75)}
    alone = MixedBatches(data, [1, 0, 1, 0], 8, 20, 0, paired=[1, 3])  # there is no batch of pairs
    assert {i for batch in alone for i in batch} == {*range(5), *range(15, 35)}
    assert all(len(batch) == 8 for batch in alone)
    for shares in ([0, 0, 0, 0], [1, 1, 1, -1]):
        with pytest.raises(ValueError, match=r"got shares .* of a batch, want one above 0, none below"):
            MixedBatches(data, shares, 8, 20, 0)


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


def test_distortions_that_a_rated_set_names_are_labels(photos, tmp_path):
    """They were read and dropped."""
    rows = ["0.png,20,train,jpeg,3", "1.png,80,train,pink_noise,2", "2.png,50,val,gaussian_blur,", "0.png,90,train,,"]
    (tmp_path / "set.csv").write_text("image,mos,split,distortion,level\n" + "\n".join(rows) + "\n")
    rated = RatedPictures(read_ratings(tmp_path / "set.csv", photos), 0, 64, False, (50, 10), [1.0])
    jpeg, blur, kinds = KINDS.index("jpeg"), KINDS.index("gaussian_blur"), [rated[i]["kind"] for i in range(4)]
    assert torch.equal(kinds[0], torch.eye(26)[jpeg])
    assert torch.equal(kinds[2], torch.eye(26)[blur])
    assert (torch.stack([kinds[1], kinds[3]]) == -1).all()  # another name, and none
    known = [(i, k) for i in range(4) for k in range(25) if rated[i]["severity"][k] >= 0]
    assert known == [(0, jpeg)]  # the blur has no level
    assert rated[0]["severity"][jpeg] == 3
    (tmp_path / "set.csv").write_text(
        "image,mos,split,distortion,level\n0.png,20,train,jpeg,3\n1.png,80,train,jpeg,30\n"
    )
    other = RatedPictures(read_ratings(tmp_path / "set.csv", photos), 0, 64, False, (50, 10), [1.0])
    assert (other[0]["severity"] == -1).all()  # levels of another scale
    assert other[0]["kind"][jpeg] == 1


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


# ---------------------------------------------------------------------------------------------- pairs, YOTO's pictures


def marked(width, height, blue):
    """A picture whose red says the column and whose green says the row, so that a slip by one pixel is seen."""
    rows, columns = np.mgrid[:height, :width]
    return np.stack([columns, rows, np.full_like(rows, blue)], 2).astype(np.uint8)


@pytest.fixture
def pairs_of(tmp_path):
    """Makes the two kinds of pictures with references, all of one size: rated ones from a CSV, and synthetic ones."""

    def make_pairs(kind, width, height, train, scales=(1.0,), **crops):
        if kind == "synthetic":
            clean, made = (np.stack([marked(width, height, blue)] * 2) for blue in (200, 50))
            labels = np.zeros((2, 26), np.float32), np.full((2, 25), -1, np.float32)
            pictures = SyntheticSet(made, clean, np.array([30.0, 95.0]), *labels)
            return SyntheticPictures(pictures, 1, 64, train, (50, 10), pairs=True)
        for name, blue in (("a.png", 50), ("b.png", 60), ("clean.png", 200)):
            Image.fromarray(marked(width, height, blue)).save(tmp_path / name)
        (tmp_path / "set.csv").write_text("image,mos,ref\na.png,20,clean.png\nb.png,80,clean.png\n")
        return RatedPictures(read_ratings(tmp_path / "set.csv"), 1, 64, train, (50, 10), scales, pairs=True, **crops)

    return make_pairs


@pytest.mark.parametrize("kind", ["rated", "synthetic"])
@pytest.mark.parametrize("train", [True, False])
def test_fault_2_picture_and_reference_are_cut_and_flipped_as_one(pairs_of, kind, train):
    data = pairs_of(kind, 96, 96, train)
    torch.manual_seed(0)
    lefts, tops, flips = set(), set(), set()
    for i in range(30):
        sample = data[i % 2]
        x, reference = ((255 * sample[key]).round().int() for key in ("x", "reference"))
        assert torch.equal(x[:2], reference[:2])
        assert (x[2] < 100).all()
        assert (reference[2] == 200).all()
        columns, rows = x[0, 0], x[1, :, 0]  # fault 5: a flip turns the columns round, never the rows
        assert torch.equal(rows, rows[0] + torch.arange(64))
        assert torch.equal(columns.sort().values, columns.min() + torch.arange(64))
        lefts.add(int(columns.min()))
        tops.add(int(rows[0]))
        flips.add(bool(columns[0] > columns[1]))
    if train:
        assert flips == {True, False}
        assert len(lefts) > 5
        assert len(tops) > 5
    else:
        assert (lefts, tops, flips) == ({16}, {16}, {False})


def test_fault_2_picture_and_reference_are_shrunk_as_one(pairs_of):
    data = pairs_of("rated", 200, 160, True, scales=(1.0, 0.75, 0.5))
    torch.manual_seed(0)
    steps = set()
    for i in range(30):
        sample = data[i % 2]
        assert torch.equal(sample["x"][:2], sample["reference"][:2])
        columns = 255 * sample["x"][0, 0]
        steps.add(round(float(columns.max() - columns.min()) / 63, 1))  # of the photo to one of the crop
    assert steps == {1.0, 1.3, 2.0}


@pytest.mark.parametrize("kind", ["rated", "synthetic"])
@pytest.mark.parametrize("train", [True, False])
def test_fault_5_a_picture_of_exactly_the_crop_will_do(pairs_of, kind, train):
    paired = pairs_of(kind, 64, 64, train)
    sample = paired[0]
    assert sample["x"].shape == sample["reference"].shape == (3, 64, 64)
    paired.pairs = False
    assert "reference" not in paired[0]
    assert paired[0]["x"].shape == (3, 64, 64)


def test_a_picture_beside_its_reference_is_scored_as_such(pairs_of):
    rated, made = pairs_of("rated", 64, 64, False), pairs_of("synthetic", 64, 64, False)
    assert [float(rated[i]["score"]) for i in range(2)] == [-3, 3]
    assert float(made[1]["score"]) == 5  # 100 for the untouched, which raters gave 90 and so does `score`
    assert -2 < float(made[0]["score"]) < -1
    stacked = torch.utils.data.default_collate([rated[0], rated[1], made[0]])
    assert stacked["reference"].shape == (3, 3, 64, 64)


def test_several_crops_to_test_by_are_native_ones_at_places_that_never_change(pairs_of):
    places = []
    for seed in (0, 0, 1):
        data = pairs_of("rated", 200, 160, False, scales=(1.0, 0.5), crops=7, seed=seed)
        for sample in (data[0], data[1]):
            assert sample["x"].shape == sample["reference"].shape == (7, 3, 64, 64)
            assert torch.equal(sample["x"][:, :2], sample["reference"][:, :2])
            columns, rows = ((255 * sample["x"][:, k]).round().int() for k in (0, 1))
            assert (columns[:, 0] == columns[:, 0, :1] + torch.arange(64)).all()  # neither shrunk nor flipped
            places.append([(int(c), int(r)) for c, r in zip(columns[:, 0, 0], rows[:, 0, 0], strict=True)])
    assert places[:2] == places[2:4]
    assert len({tuple(found) for found in places}) == 4  # by the picture's name and the seed
    assert len(set(places[0])) > 4
    assert pairs_of("rated", 200, 160, True, crops=7)[0]["x"].shape == (3, 64, 64)  # what is trained on is as ever


def test_a_picture_smaller_than_the_crop_is_enlarged_for_each_of_several_crops(pairs_of):
    sample = pairs_of("rated", 50, 60, False, crops=3)[0]
    assert sample["x"].shape == sample["reference"].shape == (3, 3, 64, 64)


def test_a_reference_of_another_size_is_refused(tmp_path):
    for name, side in (("a.png", 80), ("clean.png", 96)):
        Image.fromarray(marked(side, side, 0)).save(tmp_path / name)
    (tmp_path / "set.csv").write_text("image,mos,ref\na.png,20,clean.png\na.png,80,clean.png\n")
    data = RatedPictures(read_ratings(tmp_path / "set.csv"), 0, 64, True, (50, 10), [1.0], pairs=True)
    with pytest.raises(ValueError, match="got 80x80 and 96x96 pixels of it and its reference, want the same size"):
        data[0]


def test_batches_never_mix_pictures_with_and_without_references():
    data = ConcatDataset([TensorDataset(torch.zeros(n)) for n in (5, 10, 20, 40)])
    sampler = MixedBatches(data, [1, 1, 1, 3], 8, 200, seed=0, paired=[1, 3])
    batches, shares = list(sampler), {(4, 0, 4, 0): 0, (0, 2, 0, 6): 0}
    for batch in batches:
        where = np.searchsorted([5, 15, 35, 75], batch, side="right")
        shares[tuple(np.bincount(where, minlength=4).tolist())] += 1  # any other mixture is a KeyError
    assert all(70 < count < 130 for count in shares.values())
    assert list(MixedBatches(data, [1, 1, 1, 3], 8, 200, seed=0, paired=[1, 3])) == batches
    sampler.set_epoch(1)
    assert list(sampler) != batches
    other = MixedBatches(data, [1, 1, 1, 3], 8, 200, seed=1, paired=[1, 3])
    assert list(other) != batches


def test_every_batch_is_of_pairs_where_every_set_has_references():
    data = ConcatDataset([TensorDataset(torch.zeros(n)) for n in (5, 10)])
    batches = list(MixedBatches(data, [1, 1], 8, 5, seed=0, paired=[0, 1]))
    assert [len(batch) for batch in batches] == [8] * 5
