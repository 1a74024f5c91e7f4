"""Scripts without a main guard: one line that names it, and nothing left behind."""

import os
import subprocess
import sys
import textwrap
from importlib.machinery import ModuleSpec
from types import ModuleType

import pytest

from nextframe.training.parallel.guard import _is_guarded, _script


def run(script, cwd, *flags):
    return subprocess.run(
        [sys.executable, *flags, str(script)], cwd=cwd, capture_output=True, text=True, check=False, timeout=300,
        env=os.environ | {"NEXTFRAME_CACHE": str(cwd / "cache")},
    )  # fmt: skip


@pytest.mark.slow
def test_a_script_without_a_guard_is_told_so_in_one_line_and_works_once_mended(bugs, tmp_path):
    script = tmp_path / "no_guard.py"
    text = (bugs / "no_guard.py").read_text(encoding="utf-8")
    for old, new in (
        (
            "from nextframe.training import load_recipe",
            "from nextframe.recipes import load_recipe\nfrom nextframe.training import train",
        ),
        ("nextframe.train(", "train("),
    ):  # it was written for the names of that day
        assert old in text
        text = text.replace(old, new)
    script.write_text(text, encoding="utf-8")
    done = run(script, tmp_path)
    assert done.returncode == 1
    assert (
        done.stderr.strip()
        .splitlines()[-1]
        .endswith(
            "no_guard.py, line 11: workers and devices are processes that run the script again: "
            "put it under `if __name__ == '__main__':`"
        )
    )
    assert not (tmp_path / "ng_run").exists()
    lines = script.read_text(encoding="utf-8").splitlines()
    body = textwrap.indent("\n".join(lines[1:]), "    ")
    script.write_text(f"if __name__ == '__main__':\n{body}\n", encoding="utf-8")
    done = run(script, tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "done"
    assert (tmp_path / "ng_run" / "model").is_dir()


FORMS = {
    "plain": ("call()", False),
    "in a function": ("def main():\n    pass\nmain()  # call()", False),
    "in a block": ("with open(__file__):\n    for _ in range(1):\n        call()", False),
    "under another question": ("if True:\n    call()", False),
    "guarded": ("if __name__ == '__main__':\n    call()", True),
    "guarded function": ("def main():\n    pass\nif '__main__' == __name__:\n    main()  # call()", True),
    "guarded and more": ("import sys\nif __name__ == '__main__' and sys.argv:\n    call()", True),
}


@pytest.mark.parametrize("form", FORMS)
def test_what_counts_as_guarded(tmp_path, form):
    text, guarded = FORMS[form]
    (tmp_path / "script.py").write_text(text, encoding="utf-8")
    line = next(number for number, line in enumerate(text.splitlines(), 1) if "call()" in line)
    assert _is_guarded(tmp_path / "script.py", line) == guarded


def test_commands_notebooks_and_modules_need_no_guard(tmp_path):
    (tmp_path / "script.py").touch()
    script = ModuleType("__main__")
    assert _script(script) is None, "a command or a notebook has no file"
    script.__file__ = str(tmp_path / "script.py")
    assert _script(script) == tmp_path / "script.py"
    script.__spec__ = ModuleSpec("package.__main__", None)
    assert _script(script) is None, "python -m package"
    script.__spec__ = ModuleSpec("package.train", None)
    assert _script(script) == tmp_path / "script.py", "python -m package.train is imported again"
