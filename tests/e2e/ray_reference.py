"""Ray's public names as the reference beside the checkout lists them, and which are absent here.

The reference is not part of the tree: SUNDOG_REFERENCE names its folder, else it is looked for in
`../shared/reference` of the checkout.
"""

import os
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
FOLDER = Path(os.environ.get("SUNDOG_REFERENCE", ROOT.parent / "shared" / "reference"))
PATH = FOLDER / "core_api.txt"
WHY_SKIPPED = f"Ray's list of names is not beside this checkout: {PATH}"

LATER = "is not in this version"
INTERNAL = "is internal to Ray"
# Members of classes, which have no place of their own to say why.
ABSENT_MEMBERS = {
    "ObjectRef.call_site": INTERNAL,
    "ObjectRef.owner_address": "the node owns every object: there is no owner to address",
    "ObjectRef.redis_shard_hash": INTERNAL,
    "ObjectRef.tensor_transport": INTERNAL,
    "RuntimeContext.gcs_address": "nothing listens on a network",
}


def sections() -> dict[str, list[str]]:
    """Heading to its lines."""
    found: dict[str, list[str]] = {}
    lines: list[str] = []
    for line in PATH.read_text().splitlines():
        if line.startswith("## "):
            lines = found.setdefault(line[3:], [])
        elif line and not line.startswith("#"):
            lines.append(line)
    return found


def section(beginning: str) -> list[str]:
    """The lines of the section whose heading is this, or begins with it and a space."""
    (lines,) = (
        lines for heading, lines in sections().items() if f"{heading} ".startswith(f"{beginning} ")
    )
    return lines


def full_names() -> list[str]:
    """Names that a program can import or reach from `ray`, with their modules in front."""
    names = [f"ray.{leading_name(line)}" for line in section("ray (top level)")]
    names += [f"ray.exceptions.{leading_name(line)}" for line in section("ray.exceptions")]
    for line in section("ray.util"):
        if ":" in line.split("(")[0]:  # module:Class: methods
            names.append(line.split(":")[0])
        elif "." in leading_name(line):
            names.append(f"ray.util.{leading_name(line)}")
        else:
            names.append(f"ray.util.{leading_name(line)}")
    names += [f"ray.util.state.{leading_name(line)}" for line in section("ray.util.state")]
    also = " ".join(section("Also imported by people, beside the lists above"))
    names += re.findall(r"\bray\.[\w.]*\w", also)
    return list(dict.fromkeys(names))


def leading_name(line: str) -> str:
    """``get`` of ``get(refs, *, timeout=None) -> Any``."""
    found = re.match(r"[\w.]+", line)
    assert found is not None, line
    return found[0]


def members(of: str) -> list[str]:
    """Methods of ``ObjectRef`` or ``RuntimeContext``."""
    if of == "RuntimeContext":
        (line,) = section("RuntimeContext")
    else:
        (line,) = (
            line.split(": ", 1)[1]
            for line in section("ObjectRef / ObjectRefGenerator / ActorHandle")
            if line.startswith(f"{of}: ")
        )
    return [name.strip() for name in line.split(",")]


def init_defaults() -> dict[str, object]:
    """Keywords of ``init`` with Ray's defaults."""
    (line,) = (line for line in section("ray (top level)") if line.startswith("init("))
    found = re.findall(r"(\w+): [^=]*? = (None|True|False|'[^']*')", line)
    values: dict[str, object] = {"None": None, "True": True, "False": False}
    return {name: values.get(text, text.strip("'")) for name, text in found}


def keywords_of(line: str) -> list[str]:
    """Parameters of a signature's line; brackets and quotes may hold commas of their own."""
    depth, part, parts = 0, "", []
    for letter in line[line.index("(") + 1 :]:
        depth += letter in "([{<"
        depth -= letter in ")]}>"
        if depth < 0:
            break
        if letter == "," and depth == 0:
            parts.append(part)
            part = ""
        else:
            part += letter
    names = [found[0] for text in [*parts, part] if (found := re.match(r"\s*\w+", text))]
    return [name.strip() for name in names]


def signatures() -> dict[str, list[str]]:
    """Full name to its parameters, for the names that the reference gives a signature."""
    found = {}
    for heading, module in (("ray (top level)", "ray"), ("ray.util", "ray.util")):
        for line in section(heading):
            if re.match(r"[\w.]+\((?!\.\.\.)", line):
                found[f"{module}.{leading_name(line)}"] = keywords_of(line)
    for line in section("ray.util.state"):
        if "(" in line:
            found[f"ray.util.state.{leading_name(line)}"] = keywords_of(line)
    return found


def methods() -> list[str]:
    """Methods of the classes of ``ray.util`` that the reference lists with theirs."""
    found = []
    for line in section("ray.util"):
        place, _, names = line.rpartition(": ")
        if ":" in place:
            found += [f"{place.replace(':', '.')}.{name.strip()}" for name in names.split(",")]
    return found


def exception_bases() -> dict[str, str]:
    """Exception's name to that of its base."""
    return dict(line.split(" < ") for line in section("ray.exceptions"))


def commands() -> list[str]:
    """The first words of Ray's command line."""
    text = " ".join(section("Command line of 2.60.0")).split("exec/")[0]
    words = [part.split()[0] for part in text.split(",") if part.strip()]
    return [*words, "exec", "attach", "up", "down"]


def options(of: str) -> list[str]:
    """Option keys of ``functions``, ``actor classes`` or ``@ray.method keys``."""
    (line,) = (line for line in section("@ray.remote / .options keys") if line.startswith(of))
    return [name.strip() for name in line.split(":", 1)[1].split(",")]
