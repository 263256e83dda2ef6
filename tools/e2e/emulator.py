"""MiniStack, as it is to be run here: emulator.py FOLDER, with the Python that has it.
FOLDER has the SAM translator, which MiniStack transforms templates with. What a
Distributed Map lacks in it is stood in for by tools/statemachines/emulator.py, which
also ends it with its starter.
"""

import runpy
import sys
from pathlib import Path

sys.path.append(sys.argv.pop(1))  # last: MiniStack's own packages come first
runpy.run_path(str(Path(__file__).resolve().parents[1] / "statemachines" / "emulator.py"))
