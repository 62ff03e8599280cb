"""``optisolve completion``: a shell asks what may stand at the cursor, and gets it in a moment since no plug-in is imported.

Verbs and their settings, problems, solvers and their options are read out of source files and file names; a plug-in is not run
before its name has been chosen.
"""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

__all__ = ["MOVED", "SCRIPTS", "completions"]

MOVED = "Completion has a verb of its own: optisolve completion bash (or zsh, fish) prints what the shell evaluates."
"""What is said to who asks hydra's own completion."""

_BASH = """# optisolve: eval "$(optisolve completion bash)", in ~/.bashrc for every shell
_optisolve() {
    local line="${COMP_LINE:0:COMP_POINT}" current="${COMP_WORDS[COMP_CWORD]}" candidate
    local word="${line##*[[:space:]]}"
    case "$current" in =|:) current="" ;; esac
    local before="${word%"$current"}"
    COMPREPLY=()
    while IFS= read -r candidate; do
        [[ -n "$candidate" ]] && COMPREPLY+=("${candidate#"$before"}")
    done < <("${COMP_WORDS[0]}" completion query "$line" 2>/dev/null)
    [[ ${#COMPREPLY[@]} -eq 1 && "${COMPREPLY[0]}" == *[=./] ]] && compopt -o nospace 2>/dev/null
    return 0
}
complete -o default -F _optisolve optisolve
"""
_ZSH = """#compdef optisolve
# optisolve: eval "$(optisolve completion zsh)" behind compinit, in ~/.zshrc for every shell
_optisolve() {
    local -a found more
    found=("${(@f)$("${words[1]}" completion query "${(j: :)words[1,CURRENT]}" 2>/dev/null)}")
    more=(${(M)found:#*[=./]})
    found=(${found:#*[=./]})
    (( ${#more} )) && compadd -Q -S '' -- "${more[@]}"
    (( ${#found} )) && compadd -Q -- "${found[@]}"
    (( ${#more} + ${#found} )) || _files
}
compdef _optisolve optisolve
"""
_FISH = """# optisolve: optisolve completion fish | source, in ~/.config/fish/config.fish for every shell
function __optisolve_complete
    set -l words (commandline -opc)
    $words[1] completion query (commandline -cp | string collect) 2>/dev/null
end
complete -c optisolve -a "(__optisolve_complete)"
"""
SCRIPTS: Mapping[str, str] = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}
"""What a shell evaluates."""

_MANY = 40
"""Names above which those before a slash stand for all behind it."""


def completions(line: str, verbs: Mapping[str, str]) -> list[str]:
    """What may stand at the end of a command line, in place of its last word.

    Args:
        line: The command line up to the cursor.
        verbs: Verbs by name, each with ``module:Class`` below `optisolve.cli`.
    """
    *before, word = line.split()[1:] if line[-1:].strip() else [*line.split()[1:], ""]
    verb = next((v for v in (" ".join(before[:2]), " ".join(before[:1])) if v in verbs), "")
    if not verb:
        begun = f"{before[0]} " if before else ""
        names = {known.removeprefix(begun).partition(" ")[0] for known in verbs if known.startswith(begun)}
        return _matching(word, [*names, *([] if before else ["--help", "--version"])])
    fields = {"run": "run:Run"}.get(verb, verbs[verb])
    known = _fields(f"optisolve.cli.{fields.partition(':')[0]}", fields.partition(":")[2])
    flag = word.startswith("--")
    key, equals, value = word.removeprefix("--").partition("=")
    last = before[-1][2:] if before and before[-1].startswith("--") and not equals else ""
    told = _setting(last, known, before)
    if last in ("for", "problem", "solver", "llm") or (last and told.kind not in ("", "bool")):
        return _matching(word, _values(last, told, verb))
    if equals:
        choices = _values(key, _setting(key, known, before), verb)
        listed, comma, last_value = value.rpartition(",")
        return [f"{'--' * flag}{key}={listed}{comma}{name}" for name in _matching(last_value, choices)]
    if "." in key:
        group = key.partition(".")[0]
        return _matching(word, (f"{'--' * flag}{group}.{name}=" for name in _options(group, before)))
    return _matching(word, _keys(verb, known, flag=flag))


_MOTIONS = {
    "GaussMarkov": "gauss_markov",
    "RandomWaypoint": "random_waypoint",
    "Fading": "fading",
    "DailyDemands": "daily_demands",
}
"""Classes of `optisolve.core.motion` with their names, so that no module is loaded for them."""


@dataclass(frozen=True, slots=True)
class _Field:
    """A setting as its source says it: the name of its type, and the values that it may have."""

    kind: str = ""
    choices: tuple[str, ...] = ()
    word: bool = False


def _keys(verb: str, known: Mapping[str, _Field], *, flag: bool) -> Iterator[str]:
    groups = ("problem", "solver", "llm") if verb == "run" else ()
    if flag:
        yield from ("--help", "--config", *(f"--{group}" for group in groups), *(["--cfg"] * bool(groups)))
    else:
        yield from (
            "config=",
            *(f"{group}{sign}" for group in groups for sign in "=."),
            *(["budget.", "motion."] if groups else ()),
        )
    if not flag and verb in ("info", "check"):
        yield from (*_names("problems"), *_names("solvers"), *_plug_ins("problem"), *_plug_ins("solver"))
    for name, told in known.items():
        if told.word:
            yield from told.choices
        elif flag:
            yield f"--{name.replace('_', '-')}"
        else:
            yield from [f"{name}="] * (told.kind != "Group") + [f"{name}."] * (told.kind in ("Group", "Choice"))


def _setting(key: str, known: Mapping[str, _Field], words: Sequence[str]) -> _Field:
    group, dot, name = key.partition(".")
    if not dot:
        return known.get(key.replace("-", "_"), _Field())
    return _options(group, words).get(name, _Field())


def _values(key: str, told: _Field, verb: str) -> Iterable[str]:
    if told.choices:
        return told.choices
    if key in ("problem", "for"):
        return [*_names("problems"), *_plug_ins("problem")]
    if key in ("solver", "solvers"):
        return [*_names("solvers"), *_plug_ins("solver")]
    if key == "llm":
        return _fields_of_kinds()
    if key == "suite" and verb == "bench":
        return [name for name in _names("suites") if not name.endswith(".lock")]
    return ()


def _matching(word: str, names: Iterable[str]) -> list[str]:
    """Names that begin with a word; many of them only up to their first slash."""
    found = sorted({name for name in names if name.startswith(word)})
    if len(found) > _MANY:
        heads = {name.partition("/")[0] for name in found}
        return sorted(heads)
    return found


def _options(group: str, words: Sequence[str]) -> Mapping[str, _Field]:
    """Settings below a group, of the problem, solver or language model that the command line names."""
    if group == "motion":
        kinds = [_fields("optisolve.core.motion", name) for name in _MOTIONS]
        return {
            "kind": _Field(choices=("auto", *_MOTIONS.values())),
            **{key: told for kind in kinds for key, told in kind.items()},
        }
    if group == "budget":
        return _fields("optisolve.core.budget", "Budget")
    chosen = dict(word.removeprefix("--").partition("=")[::2] for word in words)
    name = chosen.get(group, "")
    if group == "llm":
        return _fields_of_kinds().get(name or "auto", {})
    target = _target(f"{group}s", name)
    return _fields(*target.split(":")) if target else {}


# -- what there is, without importing it ---------------------------------------------------------------------------------


def _names(kind: str) -> tuple[str, ...]:
    from optisolve.content import names

    return names(kind)


@cache
def _entry_points(kind: str) -> Mapping[str, str]:
    from importlib.metadata import entry_points

    return {point.name: point.value for point in entry_points(group=f"optisolve.{kind}s")}


def _plug_ins(kind: str) -> tuple[str, ...]:
    return tuple(_entry_points(kind))


def _target(kind: str, name: str) -> str:
    """``module:Class`` behind a problem or solver, "" for a name that there is not."""
    from optisolve.content import content_dir

    file = content_dir(kind) / f"{name}.yaml"
    if name and file.is_file():
        lines = (line for line in file.read_text(encoding="utf-8").splitlines() if line.startswith("name:"))
        name = next(lines, f"name: {name}").partition(":")[2].partition("#")[0].strip()
    return _entry_points(kind.removesuffix("s")).get(name, "")


def _fields_of_kinds() -> Mapping[str, Mapping[str, _Field]]:
    """Settings of every kind of language model, by its name on the command line."""
    module = "optisolve.llm.config"
    found = {}
    for node in _tree(module).body:
        if isinstance(node, ast.ClassDef):
            for line in node.body:
                named = isinstance(line, ast.AnnAssign) and ast.unparse(line.target) == "kind"
                if named and isinstance(line, ast.AnnAssign) and isinstance(line.value, ast.Constant) and line.value.value:
                    found[str(line.value.value)] = _fields(module, node.name)
    return found


@cache
def _tree(module: str) -> ast.Module:
    file = _file(module)
    return ast.parse("" if file is None else file.read_text(encoding="utf-8"))


def _file(module: str) -> Path | None:
    """The source of a module; only the package at the root of its name is looked up, and nothing is run."""
    root, *parts = module.split(".")
    spec = importlib.util.find_spec(root)
    if spec is None or not spec.origin:
        return None
    path = Path(spec.origin).parent.joinpath(*parts) if parts else Path(spec.origin).with_suffix("")
    options = (path.with_suffix(".py"), path / "__init__.py")
    return next((file for file in options if file.is_file()), None)


@cache
def _fields(module: str, name: str) -> Mapping[str, _Field]:
    """Fields of a dataclass and of its bases, read out of the source."""
    tree = _tree(module)
    cls = next((node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name), None)
    if cls is None:
        home = _home(tree, module, name)
        return {} if home is None else _fields(*home)
    found: dict[str, _Field] = {}
    for base in cls.bases:
        found |= _fields(module, ast.unparse(base))
    for line in cls.body:
        if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name):
            told = _read(line.annotation, tree, module)
            if told is not None and not _is_derived(line.value):
                found[line.target.id] = told
    return {key: told for key, told in found.items() if key != "scenario"}


def _home(tree: ast.Module, module: str, name: str) -> tuple[str, str] | None:
    """Where a module has an imported class from, of our own or of the same package."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for item in node.names:
                if name == (item.asname or item.name) and node.module.partition(".")[0] == module.partition(".")[0]:
                    return node.module, item.name
    return None


def _read(annotation: ast.expr, tree: ast.Module, module: str) -> _Field | None:
    """Kind and choices of an annotation; None for what is no setting."""
    text = ast.unparse(annotation)
    if text.startswith("ClassVar"):
        return None
    if isinstance(annotation, ast.Name):  # perhaps an alias of this file, or of another one
        for node in tree.body:
            if isinstance(node, (ast.Assign, ast.AnnAssign)) and node.value is not None:
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                if any(ast.unparse(target) == text for target in targets):
                    return _read(node.value, tree, module)
        if (home := _home(tree, module, text)) is not None and home[1] == text:
            return _read(annotation, _tree(home[0]), home[0])
    choices = tuple(
        str(item.value)
        for node in ast.walk(annotation)
        if isinstance(node, ast.Subscript) and ast.unparse(node.value) == "Literal"
        for item in ast.walk(node.slice)
        if isinstance(item, ast.Constant) and item.value
    )
    return _Field(text, ("true", "false") if text == "bool" else choices, "Word(" in text or text == "Paths")


def _is_derived(value: ast.expr | None) -> bool:
    return value is not None and "init=False" in ast.unparse(value)
