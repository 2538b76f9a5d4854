"""Encoders take weights from files as they are published, and say which is missing."""

import hashlib
import re

import pytest
import torch

from iqassay.systems.encoder_weights import van_name
from iqassay.systems.encoders import encoder
from iqassay.systems.mfen import MFEN, MFENConfig

pytestmark = pytest.mark.slow

# As the authors' repository names what a block of VAN is made of.
GATE = "attn.spatial_gating_unit"
VAN_BLOCK = ("norm1", "norm2", "attn.proj_1", f"{GATE}.conv0", f"{GATE}.conv_spatial", f"{GATE}.conv1", "attn.proj_2")
VAN_BLOCK = (*VAN_BLOCK, "mlp.fc1", "mlp.dwconv.dwconv", "mlp.fc2")


def van(seed=0):
    torch.manual_seed(seed)
    net = encoder("van_tiny").eval()
    for value in net.state_dict().values():
        if value.is_floating_point():
            value.uniform_(0.1, 0.9)
    return net


def published(net):
    """The weights of a VAN as its authors publish them: in "state_dict", scales without a place, a classifier too."""
    state = {van_name(key): value.clone() for key, value in net.state_dict().items()}
    state = {key: value.flatten() if "layer_scale" in key else value for key, value in state.items()}
    return {"state_dict": {**state, "head.weight": torch.zeros(1000, 64), "head.bias": torch.zeros(1000)}}


def test_a_van_has_the_names_of_its_authors():
    names = {re.sub(r"\.(weight|bias|running_mean|running_var|num_batches_tracked)$", "", van_name(key))
             for key in van().state_dict()}  # fmt: skip
    wanted = {f"block{i}.0.{part}" for i in range(1, 5) for part in (*VAN_BLOCK, "layer_scale_1", "layer_scale_2")}
    wanted |= {f"{part}{i}{rest}" for i in range(1, 5) for part, rest in
               (("patch_embed", ".proj"), ("patch_embed", ".norm"), ("norm", ""))}  # fmt: skip
    assert names == wanted
    assert van_name("levels.2.4.attend.2.far.weight") == "block3.3.attn.spatial_gating_unit.conv_spatial.weight"


@pytest.mark.parametrize("layout", ["published", "ours"])
@torch.no_grad()
def test_a_van_of_a_file_is_that_van(tmp_path, layout):
    net, file, x = van(), tmp_path / "van.pth", torch.rand(1, 3, 64, 64)
    torch.save(published(net) if layout == "published" else net.state_dict(), file)
    again = encoder("van_tiny", weights=file).eval()
    assert all(torch.equal(a, b) for a, b in zip(net.encode(x), again.encode(x), strict=True))
    assert again.pretrained
    assert again.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()


def test_a_file_that_does_not_fit_is_one_line(tmp_path):
    file, state = tmp_path / "van.pth", published(van())
    del state["state_dict"]["block2.0.attn.proj_1.weight"]
    torch.save(state, file)
    with pytest.raises(ValueError, match=r"van.pth: got no block2\.0\.attn\.proj_1\.weight, want \(16, 16, 1, 1\)"):
        encoder("van_tiny", weights=file)
    torch.save(published(van()), file)
    with pytest.raises(ValueError, match=r"got \(8, 3, 7, 7\) for patch_embed1\.proj\.weight, want \(32, 3, 7, 7\)"):
        encoder("van_b0", weights=file)
    file.write_text("notes")
    for odd in (file, tmp_path / "nowhere.pth"):
        with pytest.raises(ValueError, match="cannot be read, want a state dict"):
            encoder("van_tiny", weights=odd)
    with pytest.raises(ValueError, match="efficientnet_lite0, which has those of its package"):
        encoder("efficientnet_lite0", weights=file)


def test_a_configuration_says_pretrained_only_where_weights_were_loaded(tmp_path):
    """It said so of random ones."""
    small = {"dan_encoder": "van_tiny", "width": 8}
    torch.save(published(van()), tmp_path / "van.pth")
    config = MFEN(MFENConfig("van_tiny", **small)).config
    assert (config.pretrained, config.encoder_sha256) == (False, "")
    system = MFEN(MFENConfig("van_tiny", **small), tmp_path / "van.pth")
    assert system.config.pretrained
    assert system.config.encoder_sha256 == hashlib.sha256((tmp_path / "van.pth").read_bytes()).hexdigest()
    assert torch.equal(system.dan.levels[3][0][0].weight, system.qen.levels[3][0][0].weight)
    other = {"dan_encoder": "van_b0", "dan_shared": 0, "width": 8}  # of which there is no file
    assert not MFEN(MFENConfig("van_tiny", **other), tmp_path / "van.pth").config.pretrained


@pytest.mark.slow
@torch.no_grad()
def test_swin_t_takes_the_three_published_layouts(tmp_path):
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    model = transformers.SwinForImageClassification(transformers.SwinConfig(num_labels=5)).eval()
    for name, value in model.named_parameters():
        if "bias" in name or "norm" in name:
            torch.nn.init.uniform_(value, 0.1, 0.9)
    theirs = model.state_dict()
    x = torch.rand(1, 3, 224, 224)
    last = model.swin(x * 2 - 1).last_hidden_state
    microsoft, older, timm = {}, {}, {}
    for key, value in theirs.items():
        short = key.removeprefix("swin.").removeprefix("encoder.")
        for new, ms, old in (
            ("embeddings.patch_embeddings.projection", "patch_embed.proj", None),
            ("embeddings.norm", "patch_embed.norm", None),
            ("layernorm_before", "norm1", None),
            ("layernorm_after", "norm2", None),
            ("layernorm.", "norm.", None),
            ("attention.q_proj", "attn.q", "attention.self.query"),
            ("attention.k_proj", "attn.k", "attention.self.key"),
            ("attention.v_proj", "attn.v", "attention.self.value"),
            ("attention.o_proj", "attn.proj", "attention.output.dense"),
            ("attention.relative_position_bias.", "attn.", "attention.self."),
            ("mlp.fc1", "mlp.fc1", "intermediate.dense"),
            ("mlp.fc2", "mlp.fc2", "output.dense"),
        ):
            short, key = short.replace(new, ms), key.replace(new, old or new)
        microsoft[short], older[key] = value, value
    for key in [key for key in microsoft if ".attn.q." in key]:
        rows = [microsoft.pop(key.replace(".q.", f".{part}.")) for part in "qkv"]
        microsoft[key.replace(".q.", ".qkv.")] = torch.cat(rows)
    for key, value in microsoft.items():
        found = re.fullmatch(r"layers\.(\d)\.downsample\.(.+)", key)
        timm[f"layers.{int(found[1]) + 1}.downsample.{found[2]}" if found else key] = value
    answers = []
    for state in (theirs, older, {"model": microsoft}, timm):
        torch.save(state, tmp_path / "swin.pth")
        net = encoder("swin_t", weights=tmp_path / "swin.pth").eval()
        assert net.pretrained
        answers.append(net.encode(x)[3].flatten(2).transpose(1, 2))
        assert torch.equal(answers[-1], answers[0])
    torch.testing.assert_close(answers[0], last, atol=5e-3, rtol=0)  # sums in another order, of large numbers
    del timm["layers.3.downsample.norm.bias"]
    torch.save(timm, tmp_path / "swin.pth")
    with pytest.raises(ValueError, match=r"got no layers\.2\.downsample\.norm\.bias"):
        encoder("swin_t", weights=tmp_path / "swin.pth")
