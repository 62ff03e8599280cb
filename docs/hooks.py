"""What the documentation site makes of the repository: pages of problems, solvers and names, notebooks that were run, links.

MkDocs calls the functions ``on_...``. Nothing here repeats what stands elsewhere: cards are ``problems/*/README.md`` and
``solvers/*.md``, settings the presets themselves, names those that the package exports.
"""

from __future__ import annotations

import base64
import importlib
import posixpath
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

import nbformat
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from nbclient import NotebookClient

from optisolve import content
from optisolve.registry import PROBLEMS, SOLVERS, problem_options, solver_options

ROOT = Path(__file__).parents[1]
REPOSITORY = "https://github.com/optisolve/optisolve/blob/main"
API = {"optisolve": "Everyday names", "optisolve.core": "Contracts", "optisolve.testing": "Conformance kits"}
"""Packages whose public names have a page, and its heading."""
_ELSEWHERE = {
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "AGENTS.md": "agents.md",
    "problems/README.md": "problems/index.md",
    "solvers/README.md": "solvers/index.md",
    "benchmarks/references/README.md": "references.md",
    "benchmarks/records/README.md": "published.md",
}
"""Pages of the site that lie outside ``docs`` in the repository."""
_LINK = re.compile(r"(?<=\]\()(?![a-z]+:|#)([^)\s#]+)(#[^)\s]*)?(?=\))")
_CODE = re.compile(r"^(```|~~~).*?^\1|`[^`\n]+`", re.MULTILINE | re.DOTALL)
_FOREIGN = re.compile(
    r"<(?:script|img|iframe|source)[^>]+\bsrc=[\"']?(?:https?:)?//|<link[^>]+(?:stylesheet|preconnect|icon)[^>]+//"
)


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put the pages of problems and solvers under their headings."""
    pages = {
        "Problems": [f"problems/{name}.md" for name in sorted(PROBLEMS.targets())],
        "Solvers": [f"solvers/{name}.md" for name in SOLVERS.choices()],
    }
    for section in config.nav or ():
        for heading, names in pages.items():
            section.get(heading, []).extend(names)
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are made of other files."""
    pages = [*_elsewhere(), *_families(), *_presets(), *_names()]
    for uri, text in pages:
        files.append(File.generated(config, uri, content=text))
    for path in sorted(Path(config.docs_dir).glob("tutorials/*.ipynb")):
        for uri, made in _notebook(path):
            files.append(File.generated(config, uri, content=made))
    return files


def on_page_markdown(markdown: str, page: Page, files: Files, **_: object) -> str:
    """Links of the repository, which hold on GitHub too, as links of the site."""
    uri = page.file.src_uri
    home = posixpath.dirname(_in_repository(uri))

    def moved(found: re.Match[str]) -> str:
        target, anchor = found.group(1), found.group(2) or ""
        path = posixpath.normpath(posixpath.join(home, target))
        there = _on_site(path)
        if files.get_file_from_path(there) is not None:
            return posixpath.relpath(there, posixpath.dirname(uri) or ".") + anchor
        if (ROOT / path).exists() and not path.startswith(".."):
            return f"{REPOSITORY}/{path}{anchor}"
        return found.group(0)  # strict mode tells

    kept = list[str]()
    titled = re.sub(r"^```(\w+) ([\w./]+)$", r'```\1 title="\2"', markdown, flags=re.MULTILINE)  # a file of a recipe
    bare = _CODE.sub(lambda found: kept.append(found.group(0)) or f"\0{len(kept) - 1}\0", titled)
    return re.sub(r"\0(\d+)\0", lambda found: kept[int(found.group(1))], _LINK.sub(moved, bare))


def on_post_page(output: str, page: Page, **_: object) -> str:
    """Refuse a page that would ask another server for anything while it is read, or that shows the marks of a block of code.

    Raises:
        PluginError: The page, and what it asks for or shows.
    """
    if raw := re.search(r"<p>```.*", output):
        raise PluginError(f"{page.file.src_uri} has a block that is not read as one: {raw.group()[:80]}")
    if foreign := _FOREIGN.search(output):
        raise PluginError(f"{page.file.src_uri} loads something from elsewhere: {output[foreign.start() : foreign.end() + 60]}")
    return output


def _in_repository(uri: str) -> str:
    """Where the text of a page stands in the repository."""
    if (path := {there: here for here, there in _ELSEWHERE.items()}.get(uri)) is not None:
        return path
    if uri.startswith("problems/"):
        return f"{uri.removesuffix('.md')}/README.md"
    return uri if uri.startswith("solvers/") else f"docs/{uri}"


def _on_site(path: str) -> str:
    """The page that shows a file of the repository; the path itself where there is none."""
    family, solver = re.fullmatch(r"(problems/\w+)/README\.md", path), re.fullmatch(r"(solvers/\w+)\.(md|yaml)", path)
    if path in _ELSEWHERE:
        return _ELSEWHERE[path]
    if family or solver:
        return f"{(family or solver)[1]}.md"  # type: ignore[index]
    if path.startswith("docs/") and path.endswith(".ipynb"):
        path = path.replace(".ipynb", ".md")
    return path.removeprefix("docs/")


def _elsewhere() -> Iterator[tuple[str, str]]:
    for path, uri in _ELSEWHERE.items():
        if (ROOT / path).is_file() and not uri.endswith("index.md"):
            yield uri, (ROOT / path).read_text(encoding="utf-8")


def _families() -> Iterator[tuple[str, str]]:
    """An index, and the card of every family with its scenarios and settings."""
    rows = [
        "# Problems",
        "",
        "Every problem is a family of scenarios; its page is its model card, with equations and sources.",
        "",
    ]
    rows += ["| family | what is decided | what is proven |", "|---|---|---|"]
    for family in sorted(PROBLEMS.targets()):
        problem, _ = problem_options(family)
        rows.append(f"| [`{family}`]({family}.md) | {_cell(problem.summary)} | {_cell(problem.evidence)} |")
        card = (ROOT / "problems" / family / "README.md").read_text(encoding="utf-8")
        lines = [card.rstrip(), "", "## Run it", "", f"    optisolve run problem={family}", f"    optisolve info {family}", ""]
        lines += ["## Files of numbers", "", "| scenario | what it is |", "|---|---|"]
        scenarios = [name for name in PROBLEMS.choices() if name.partition("/")[0] == family]
        lines += [f"| `{name}` | {_cell(_first_comment('problems', name))} |" for name in scenarios]
        if (file := ROOT / "problems" / f"{family}.yaml").is_file():
            lines += ["", f"The default scenario, `{family}`:", "", "```yaml", file.read_text(encoding="utf-8").rstrip(), "```"]
        yield f"problems/{family}.md", "\n".join([*lines, ""])
    yield "problems/index.md", "\n".join([*rows, ""])


def _presets() -> Iterator[tuple[str, str]]:
    """An index, and a page per preset: summary, source, card, every setting with meaning and source."""
    rows = [
        "# Solvers",
        "",
        "A solver that cannot treat a problem says why. Every page holds all settings of `solver=NAME`.",
        "",
    ]
    rows += ["| solver | what it is | treats |", "|---|---|---|"]
    for name in SOLVERS.choices():
        solver, _ = solver_options(name)
        info, card = solver.info, ROOT / "solvers" / f"{name}.md"
        rows.append(f"| [`{name}`]({name}.md) | {_cell(_first_comment('solvers', name) or info.summary)} | {_treats(info)} |")
        text = card.read_text(encoding="utf-8").rstrip() if card.is_file() else f"# {name}\n\n{info.summary}"
        facts = {"source": info.citation or "–", "treats": _treats(info)}
        for what, capabilities in (("requires", info.requires), ("uses where offered", info.welcomes)):
            facts |= {what: ", ".join(f"`{item.__name__}`" for item in capabilities)} if capabilities else {}
        facts["same seed, same answer"] = "yes" if info.deterministic else "no"
        lines = [
            text,
            "",
            "## Settings",
            "",
            "| | |",
            "|---|---|",
            *(f"| {what} | {_cell(told)} |" for what, told in facts.items()),
        ]
        if (file := ROOT / "solvers" / f"{name}.yaml").is_file():
            lines += ["", "```yaml", file.read_text(encoding="utf-8").rstrip(), "```"]
        yield f"solvers/{name}.md", "\n".join([*lines, ""])
    yield "solvers/index.md", "\n".join([*rows, ""])


def _treats(info: object) -> str:
    return ", ".join(str(feature).replace("_", " ") for feature in sorted(info.supports))  # type: ignore[attr-defined]


def _first_comment(kind: str, name: str) -> str:
    """The sentence at the head of a file of numbers."""
    return content.header(kind, name).get("summary", "") if name in content.names(kind) else ""


def _names() -> Iterator[tuple[str, str]]:
    """A page per public package, from its docstrings."""
    for package, heading in API.items():
        module = importlib.import_module(package)
        names = [name for name in sorted(module.__all__, key=str.lower) if not name.startswith("_")]
        told = (module.__doc__ or "").strip().partition("\n")[0]
        lines = [f"# {heading}: `{package}`", "", told, "", *(f"::: {package}.{name}\n" for name in names)]
        yield f"api/{package.rpartition('.')[2]}.md", "\n".join(lines)


def _notebook(path: Path) -> Iterator[tuple[str, str | bytes]]:
    """A notebook that was run in an empty folder: its page and pictures.

    Raises:
        PluginError: A cell failed.
    """
    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory(prefix="optisolve-") as folder:
        try:
            NotebookClient(notebook, timeout=300, resources={"metadata": {"path": folder}}).execute()
        except Exception as error:
            raise PluginError(f"{path.name} cannot be run: {error}") from error
    pictures = dict[str, bytes]()
    parts = [part for cell in notebook.cells for part in _shown(cell, path.stem, pictures)]
    title, *rest = "\n\n".join(parts).split("\n", maxsplit=1)
    yield (
        f"tutorials/{path.stem}.md",
        f'{title}\n\n<a href="{path.name}" download>This page as a notebook</a>\n{"".join(rest)}\n',
    )
    for name, data in pictures.items():
        yield f"tutorials/{path.stem}/{name}", data


def _shown(cell: nbformat.NotebookNode, stem: str, pictures: dict[str, bytes]) -> Iterator[str]:
    """A cell and its outputs as Markdown; its pictures are added to the others."""
    if cell.cell_type != "code":
        yield cell.source
        return
    yield f"```python\n{cell.source}\n```"
    for output in cell.outputs:
        data = output.get("data", {})
        if "image/png" in data:
            name = f"{len(pictures) + 1}.png"
            pictures[name] = base64.b64decode(data["image/png"])
            yield f"![What the lines above draw]({stem}/{name})"
        elif "text/html" in data:
            yield f'<div class="output" tabindex="0" role="region" aria-label="Output">{data["text/html"]}</div>'
        else:
            text = output.get("text") or data.get("text/plain", "")
            yield f'```text title="prints"\n{text.rstrip()}\n```'


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())
