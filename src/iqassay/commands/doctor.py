"""`iqassay doctor`: is all that scoring needs here, and does it work?"""

from __future__ import annotations

from typing import Annotated, Any

import typer

from iqassay.commands.options import TextFormat, stdout


def doctor(
    format: Annotated[TextFormat, typer.Option(help="How it is written.")] = TextFormat.text,
    device: Annotated[str, typer.Option(help="Where the self-test computes, such as cuda.")] = "cpu",
) -> int:
    """Look at versions, devices, readable formats, models and the cache, and score two pictures as a self-test.

    Exit status: 0 all well, 1 something is wrong, and what to do is said.
    """
    from iqassay.commands.doctor_checks import examine
    from iqassay.scoring.device import find_device

    find_device(device)
    out = stdout(utf8=format is TextFormat.json)
    topics: dict[str, dict[str, Any]] = {}
    troubles: list[str] = []
    for finding in examine(device):
        if format is TextFormat.text:
            if finding.topic not in topics:
                print(finding.topic, file=out)
            print(f"  {finding.name:<16} {_text(finding.value)}", file=out, flush=True)
        topics.setdefault(finding.topic, {})[finding.name] = finding.value
        if finding.trouble and finding.trouble not in troubles:
            troubles.append(finding.trouble)
    if format is TextFormat.json:
        import json

        print(json.dumps({"well": not troubles, **topics, "trouble": troubles}, indent=2), file=out)
    else:
        print("\n".join(f"trouble: {trouble}" for trouble in troubles) or "all well", file=out)
    return 1 if troubles else 0


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {part}" for name, part in value.items())
    return ", ".join(value) if isinstance(value, list) else str(value)
