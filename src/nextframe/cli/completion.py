"""nextframe completion: what a shell needs to complete verbs, options and models."""

from __future__ import annotations

from typing import Annotated

import typer

SHELLS = ("bash", "zsh", "fish", "powershell")


def completion(
    shell: Annotated[str, typer.Argument(metavar="SHELL", help="bash, zsh, fish or powershell.")],
) -> None:
    """Print the script that makes a shell complete verbs, options and models.

    Examples:
    nextframe completion bash >> ~/.bashrc
    nextframe completion zsh >> ~/.zshrc
    nextframe completion fish > ~/.config/fish/completions/nextframe.fish
    """
    from typer._completion_shared import get_completion_script

    from nextframe.core.errors import UnknownNameError

    if shell not in SHELLS:
        raise UnknownNameError("shell", shell, SHELLS)
    typer.echo(get_completion_script(prog_name="nextframe", complete_var="_NEXTFRAME_COMPLETE", shell=shell))
