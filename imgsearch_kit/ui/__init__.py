"""What is drawn alike in the page, in notebooks and on static sites: ES modules and their style, without a framework.

A module imports only its neighbours here, and exports functions. None writes markup: every value is drawn as text.
"""

from __future__ import annotations

import re
from importlib.resources import files

_IMPORT = re.compile(r'^import (\{[^}]*\}) from "[./\w]*?(\w+)\.js";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?:async )?(?:function|const) (\w+)", re.MULTILINE)


def script(code: str) -> str:
    """A script that imports modules of this folder, in one piece: for places that cannot load several files.

    The modules stand before it, each in a scope of its own, so the whole may also be the body of a function.
    """
    modules: dict[str, str] = {}

    def joined(text: str) -> str:
        for _, name in _IMPORT.findall(text):
            if name not in modules:
                module = files(__name__).joinpath(f"{name}.js").read_text("utf-8")
                exports, inner = ", ".join(_EXPORT.findall(module)), joined(module)
                inner = re.sub("^export ", "", inner, flags=re.MULTILINE)
                modules[name] = f"const module_{name} = (() => {{\n{inner}\nreturn {{{exports}}};\n}})();\n"
        return _IMPORT.sub(r"const \1 = module_\2;\n", text)

    own = joined(code)
    return "".join(modules.values()) + own


def style() -> str:
    """The style sheet of the modules; hosts set the variables at its beginning."""
    return files(__name__).joinpath("ui.css").read_text("utf-8")
