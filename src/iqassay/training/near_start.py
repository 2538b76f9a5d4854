"""How a YOTO that looks at neighbours begins: its tokens are those of the encoder, turned, and match by themselves.

What a vision transformer's tokens say of how alike two pictures are, untrained, is more than a short training from
random weights finds (docs/yoto.md has the numbers). So nothing is random that the comparison is made of: channels are
put on one scale, the embedding keeps their principal axes, HA matches what it is given, and the query of SDA is the
deep token that a shallow one foretells.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from iqassay.data.synthetic import pristine_files
from iqassay.systems.near_attention import NearAttention
from iqassay.systems.near_distance import NearDistance
from iqassay.systems.yoto import YOTO
from iqassay.systems.yoto_extended import ExtendedYOTO
from iqassay.training.recipes import Recipe
from iqassay.training.sets import held_out
from iqassay.training.whole_pass import whole_view

PHOTOS = 80  # to begin by, evenly spread
MOST = 20_000  # tokens of a level, evenly spread, are enough


def clean_views(recipe: Recipe) -> list[Tensor]:
    """Clean photos of a recipe, (1, 3, H, W) each, as the scorer sees them whole."""
    files = pristine_files(recipe.synthetic)
    files = [file for file in files if file not in held_out(files)] or files
    return [torch.from_numpy(whole_view(file)) for file in files[:: -(-len(files) // PHOTOS)]]


@torch.no_grad()
def start_near(system: ExtendedYOTO, pictures: Sequence[Tensor]) -> None:
    """Set the network's first weights by clean pictures, (1, 3, H, W) each, H and W multiples of 32.

    Raises:
        ValueError: with fewer tokens than a token has channels.
    """
    network = system.network
    maps = [network.encode(picture) for picture in pictures]
    tokens = [_spread(torch.cat([m[level].flatten(2)[0].T for m in maps])) for level in range(4)]
    if len(tokens[0]) < tokens[0].shape[1]:
        raise ValueError(
            f"got {len(tokens[0])} cells of clean pictures to begin by, want at least {tokens[0].shape[1]}"
        )
    embedded = [begin_level(network, level, one) for level, one in enumerate(tokens)]
    for name, attend in network.sda.items():
        shallow, deep = embedded[int(name[0])], embedded[int(name[1])]
        ridge = 0.01 * len(shallow) * shallow.var() * torch.eye(shallow.shape[1])
        assert isinstance(attend, NearAttention)
        assert attend.q is not None
        attend.q.weight.copy_(torch.linalg.solve(shallow.T @ shallow + ridge, shallow.T @ deep).T)
        attend.q.bias.zero_()
    if isinstance(system.distance, NearDistance):
        system.distance.learn_scale(maps)


def begin_level(network: YOTO, level: int, tokens: Tensor) -> Tensor:
    """Normalisation, embedding and CTR of one level, by its tokens (N, C); returns them embedded, (N, width).

    Every head gets axes of all sizes. CTR begins with its gate shut: what it adds has to be learned.
    """
    norm, embed, gate = network.norms[level], network.embed[level], network.ctr[level].gate
    assert isinstance(embed, nn.Linear)
    assert isinstance(gate, nn.Linear)
    width, heads = embed.weight.shape[0], network.config.heads
    x = F.layer_norm(tokens, tokens.shape[1:]) if network.config.normalise else tokens
    mean, deviation = x.mean(0), x.std(0) + 1e-3
    x = (x - mean) / deviation
    _, axes = torch.linalg.eigh(x.T @ x / len(x))  # the largest last
    axes = axes[:, -width:].flip(1).T
    embed.weight.copy_(torch.cat([axes[k::heads] for k in range(heads)]))
    embed.bias.zero_()
    if isinstance(norm, nn.LayerNorm):
        norm.weight.copy_(1 / deviation)
        norm.bias.copy_(-mean / deviation)
    gate.weight.zero_()
    gate.bias.zero_()
    return embed(x)


def _spread(tokens: Tensor) -> Tensor:
    return tokens[:: -(-len(tokens) // MOST)]
