"""The README's picture: what `attnviz run "I saw a saw"` prints on a dark terminal, as SVG.

python .github/images/terminal.py            writes run.svg beside this file
python .github/images/terminal.py --check    exit code 1 if it is out of date
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

PICTURE = Path(__file__).with_name("run.svg")
COMMAND = ["run", "I saw a saw"]


def draw() -> str:
    command = [sys.executable, "-m", "attnviz", *COMMAND, "--color", "always", "--width", "80"]
    environment = os.environ | {"COLORTERM": "truecolor", "TERM": "xterm-256color"}
    environment |= {"PYTHONIOENCODING": "utf-8"}
    output = subprocess.run(command, env=environment, capture_output=True, check=True).stdout
    console = Console(record=True, width=80, file=io.StringIO(), force_terminal=True)
    console.print(Text('$ attnviz run "I saw a saw"', style="bold"))
    console.print(Text.from_ansi(output.decode()))
    return console.export_svg(title="attnviz", unique_id="attnviz")


if __name__ == "__main__":
    picture = draw()
    if "--check" in sys.argv:
        sys.exit(0 if PICTURE.read_text("utf-8") == picture else f"{PICTURE} is out of date")
    PICTURE.write_text(picture, "utf-8")
