"""What `create_metric` can be asked for: the names of models and measures, and those that users of pyiqa know."""

from __future__ import annotations

import fnmatch
import os

from iqassay.measures.measure import MEASURES
from iqassay.scoring.model_file import ModelFileError, PanelCard, shipped_models

# Where a measure of ours and pyiqa's of the same name differ: for those who compare numbers with older ones.
DIFFERS = {
    "psnr": "pyiqa adds 1e-8 to the mean square error, so that identical pictures have 80 there and 100 here",
    "ssim": "pyiqa's is not shrunk first, so the two differ from 384 pixels a side on; it also rounds the luma of "
    "floats, and counts negative structure as none",
    "ms-ssim": "pyiqa rounds the luma of floats, counts negative structure as none, and puts zeros beside odd sides",
    "gmsd": "pyiqa shrinks by whole squares of 2x2, the authors' program and ours by ones that start half outside",
    "vsi": "pyiqa shrinks and finds what draws the eye in another way than the authors' program, which ours follows",
    "niqe": "ours compares with clean photos of our own choice, pyiqa's with the authors': both are lower for better "
    "pictures, but the numbers do not compare",
    "brisque": "ours has the published features and a regressor of our own, 0 to 100 and HIGHER is better; pyiqa's and "
    "the authors' is lower for better pictures",
}

# Names of pyiqa that we have no measure of: which of our models is for the same use.
# fmt: off
OF_PAIRS = {
    "ahiq", "ckdn", "lpips", "stlpips", "dists", "deepdc", "ssimc", "psnry", "fsim", "vif", "nlpd", "cw-ssim",
    "mad", "pieapp", "topiq-fr", "wadiqam-fr", "msswd", "dmm", "afine-fr", "afine-all",
}
OF_PICTURES = {
    "piqe", "ilniqe", "nrqm", "pi", "cnniqa", "musiq", "nima", "paq2piq", "dbcnn", "maniqa", "clipiqa", "tres",
    "hyperiqa", "uranker", "topiq-nr", "topiq-iaa", "laion-aes", "liqe", "wadiqam-nr", "qalign", "compare2score",
    "unique", "arniqa", "maclip", "qualiclip", "afine-nr", "entropy",
}
# fmt: on


def list_models(pattern: str = "*", reference: bool | None = None) -> list[str]:
    """The names that `create_metric` and `load` take, in order.

    Args:
        pattern: what they look like, with the wildcards of file names: "*ssim*".
        reference: only those that can be called with a reference (True), or with a picture alone (False).
    """
    pairs = {name for name, measure in MEASURES.items() if measure.reference}
    alone = set(MEASURES) - pairs
    for path, card in shipped_models():
        alone.add(path.stem)
        if isinstance(card, PanelCard) or card.reference is not None:
            pairs.add(path.stem)
    names = {None: pairs | alone, True: pairs, False: alone}[reference]
    return sorted(fnmatch.filter(names, pattern.replace("_", "-")))


def meant(name: str | os.PathLike[str]) -> str | os.PathLike[str]:
    """Our name for what is called so, in any case and with underscores too; paths as they are.

    Raises ModelFileError for a name of pyiqa that we have nothing of, and says what is for the same use.
    """
    if not isinstance(name, str):
        return name
    ours = name.lower().replace("_", "-")
    known = list_models()
    if ours in known:
        return ours
    parts = ours.split("+")[0].split("-")  # "topiq_nr-flive" is a variant of "topiq_nr", "clipiqa+" one of "clipiqa"
    families = {"-".join(parts[:count]) for count in range(1, len(parts) + 1)}
    if families & OF_PAIRS:
        raise ModelFileError(f"there is no {name!r} here: for pictures beside references want 'yoto', a learned one")
    if families & OF_PICTURES:
        raise ModelFileError(f"there is no {name!r} here: for pictures alone want 'panel', a learned one")
    return name
