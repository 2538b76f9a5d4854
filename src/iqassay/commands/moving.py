"""Copying, moving and linking chosen pictures: a dry run first."""

from __future__ import annotations

from iqassay.commands.options import say


def move_pictures(
    pictures: list[str], paths: list[str], how: str, folder: str, really: bool, option: str | None = None
) -> bool:
    """Copy, move or link pictures, or say what would be done. Returns whether nothing was in the way.

    paths: where the pictures were found. option: what asked for it, as messages name it.
    """
    from iqassay.folders.culling import carry_out, plan
    from iqassay.support.text import counted

    option, states = option or f"--{how}-to", []
    for step in plan(pictures, paths, folder):
        state = carry_out(step, how) if really else step.state
        if state not in ("done", "to do"):
            say(f"{option}: {state}")
        states.append((step.state, state))
    there, stuck = states.count(("done", "done")), sum(state not in ("done", "to do") for _, state in states)
    done = {"copy": "copied", "move": "moved", "link": "linked"}[how]
    told = f"{counted(len(states) - there - stuck, 'picture')} {done if really else f'would be {done}'}"
    there_too = f", {there:,} there already" if there else ""
    say(f"{option} {folder}: {told}{there_too}{'' if really else ' (a dry run: --yes does it)'}")
    return not stuck
