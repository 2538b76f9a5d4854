"""What there is to say of a model, for those who choose one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from iqassay.scoring.model_file import Card, NetworkCard, PanelCard


def model_record(path: Path, card: Card) -> dict[str, Any]:
    """A model file's facts, or a panel's, as plain Python values ready for JSON."""
    keys = ("name", "version", "summary", "system", "licence", "training_data", "accuracy", "limits")
    record = {key: getattr(card, key) for key in keys}
    if isinstance(card, PanelCard):
        return {**record, "members": card.members}
    if isinstance(card, NetworkCard):
        return {**record, "bytes": path.stat().st_size, "sha256": card.sha256}
    return record
