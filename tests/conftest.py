"""What the tests share."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

SNIPPETS = Path(__file__).resolve().parent.parent / "snippets"


def load_snippet(name: str) -> ModuleType:
    """Import a snippet by its name, such as `models/cnn`; nothing is trained."""
    specification = importlib.util.spec_from_file_location(f"snippet_{name.replace('/', '_')}", SNIPPETS / f"{name}.py")
    module = importlib.util.module_from_spec(specification)
    sys.modules[specification.name] = module
    specification.loader.exec_module(module)
    return module
