"""CI runs what the README tells users to run."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

README = """\
# A project

```
echo not this && ./pytest
```

## Test

Some words, and `code`.

```
mkdir .venv && touch .venv/fresh && ./pytest
```

```
echo nor this && ./pytest
```
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with the CI scripts, a README, an old environment and a `pytest` that repeats its arguments."""
    shutil.copytree(ROOT / ".ci", tmp_path / ".ci")
    for installer in (tmp_path / ".ci").glob("install_*"):
        installer.write_text("#!/bin/sh\n")  # a test installs nothing on this computer
    (tmp_path / "README.md").write_text(README)
    (tmp_path / ".venv").mkdir()
    (tmp_path / "pytest").write_text('#!/bin/sh\necho "ran with [$*]"; ls .venv; exit 3\n')
    (tmp_path / "pytest").chmod(0o755)
    return tmp_path


@pytest.mark.parametrize(("script", "arguments"), [("run", ""), ("slow", "-m slow")])
def test_the_readme_is_run_in_a_fresh_environment(checkout: Path, script: str, arguments: str) -> None:
    done = subprocess.run([checkout / ".ci" / script], capture_output=True, text=True, check=False, cwd="/")
    assert done.stdout.splitlines()[1:] == [f"ran with [{arguments}]", "fresh"]
    assert "not this" not in done.stdout
    assert done.returncode == 3


def test_a_readme_without_the_block_fails(checkout: Path) -> None:
    (checkout / "README.md").write_text("# A project\n\n## Testing\n\n```\npytest\n```\n")
    done = subprocess.run([checkout / ".ci" / "run"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "there is none" in done.stderr
