"""The plan of the house: who may import whom, what a start may load, and that a wheel is whole."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import zipfile
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest
from whole_programs import WHOLE_FILES

import engine
import seke

ROOT = Path(__file__).parents[1]
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for folder in ("engine", "seke")
    for path in (ROOT / folder).rglob("*.py")
}
# Who imports these imports all.
FACE_NAMES = {"engine", "seke"}
HTTP = {"openai", "httpx", "requests", "urllib3", "aiohttp", "http", "urllib", "socket"}
FACES = re.compile(
    r"\b(happiness|sadness|disgust|contempt|valence|arousal|AU\d+|facial|faces?|emotions?|expressions?|affect|"
    r"activations?|pictures?|grey)\b",
    re.IGNORECASE,
)
# Keys of the YAML, which the language alone knows.
KEYS = {"affect", "activations", "grey"}
# The rooms, floor by floor: whoever imports, also lazily or for types alone, imports from a lower floor.
FLOORS = {
    "engine": (
        "backend",
        "errors metrics",
        "model",
        "language network",
        "compilation observation",
        "inference",
        "decision",
        "learning certification analysis",
    ),
    "seke": (
        "_version progress",
        "files",
        "samples inference",
        "tables sampling console",
        "vision observers formats results",
        "runs prompts datasets",
        "annotation graphics exporting",
        "calibration benchmarking knowledge_tools explanations review release",
        "planning playground reports plot start",
        "cli",
        "__main__",
    ),
}
FLOOR = {
    f"{package}.{room}": number
    for package, floors in FLOORS.items()
    for number, rooms in enumerate(floors)
    for room in rooms.split()
}
# What these never see, though it stands lower: whoever infers and decides has the network, not the YAML.
YAML = {"yaml", "engine.language", "engine.compilation"}
NEVER = {
    f"engine.{room}": YAML
    for room in [
        "backend",
        "metrics",
        "model",
        "network",
        "observation",
        "inference",
        "decision",
        "certification",
    ]
}


@cache
def text_of(path):
    return path.read_text()


@cache
def nodes_of(path):
    """All nodes of the syntax tree of a file, itself first; seven tests look at each."""
    return tuple(ast.walk(ast.parse(text_of(path))))


@cache
def imports(path):
    """Names of the modules that a file imports, with `from a import b` as a.b where that is a module."""
    names = set()
    for node in nodes_of(path):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                names.add(inner if inner in MODULES else node.module)
    return frozenset(names)


def modules_of(prefix):
    """The modules whose name begins so: name -> path."""
    modules = {name: path for name, path in MODULES.items() if name.startswith(prefix)}
    assert modules
    return modules


def faults(check, modules=MODULES):
    """What a check has to say of each module, where it has something to say."""
    return {name: fault for name, path in modules.items() if (fault := check(name, path))}


def test_the_engine_knows_neither_seke_nor_the_network_nor_faces():
    def known(name, path):
        roots = {module.split(".")[0] for module in imports(path)}
        keys = KEYS if room_of(name) == "engine.language" else set()
        words = {word.lower() for word in FACES.findall(text_of(path))}
        return roots & ({"seke"} | HTTP) | words - keys

    assert faults(known, modules_of("engine")) == {}


# Observers, questions and policy stand beside a compiled network: a changed budget is no other network.
BESIDE = re.compile(r"\b(knowledge|observers?|questions?|views?|policy|policies)\b", re.IGNORECASE)


def test_a_network_knows_neither_observers_nor_policy():
    assert faults(lambda _, path: BESIDE.findall(text_of(path)), modules_of("engine.network")) == {}


def room_of(name):
    """Room of a module: engine.model.gold -> engine.model."""
    return ".".join(name.split(".")[:2])


# Where names of the shipped base stand in code, and what they mean there.
SHIPPED_NAMES = {
    "files.column_hints": "expression face",
    "files.shipped": "expression affect action_units generic-vlm dataset-label face",  # the names themselves
    # Columns and tasks of what is exported: a file format.
    "exporting.accepted_labels": "expression affect action_units",
    "exporting.comparison": "expression",
    "exporting.conversation": "expression affect action_units",
    "exporting.counts": "expression affect action_units",
    "exporting.formats": "expression human",
    "exporting.instruction_reader": "expression",
    "exporting.instruction_texts": "expression affect action_units",
    "exporting.instruction_writer": "expression affect action_units",
    "exporting.parquet_format": "action_units",
    "exporting.sentences": "expression",
    "exporting.statement": "expression",
    "exporting.verify": "expression human",
    "exporting.wording": "expression",
    # Columns of a label table of source sets of faces.
    "datasets.affectnet": "expression valence arousal",
    "datasets.class_folders": "expression",
    "datasets.common": "expression valence arousal",
    # Fields of a record.
    # The observers that are programs: each is one of its name.
    "observers.expression_network": "fer",
    "observers.landmarks": "face-landmarker",
    "knowledge_tools.diff": "action_units quadrant",
    # The section of the YAML.
    "calibration.summary": "affect",
    "knowledge_tools.show": "affect",
    # What is drawn: a face.
    "cli.explain": "face",
    "explanations.figures": "face",
    "playground.page": "face",
    "plot": "face",
    "reports.report": "face",
}


def test_names_of_the_shipped_base_stand_where_they_are_listed():
    base = seke.knowledge()
    names = {*base.observers, *base.levels, *base.variables, *base.populations, base.usual_view}
    places = {}
    for name, path in MODULES.items():
        texts = {node.value for node in nodes_of(path) if isinstance(node, ast.Constant)}
        # The engine's words are held above.
        if texts & names and name.startswith("seke."):
            places[name.removeprefix("seke.")] = texts & names
    assert places == {name: set(words.split()) for name, words in SHIPPED_NAMES.items()}


def test_every_room_has_a_floor():
    rooms = {room_of(name) for name in MODULES} - FACE_NAMES
    assert rooms == FLOOR.keys()


def test_arrows_run_down():
    def upward(name, path):
        room = room_of(name)
        package = room.split(".")[0]
        for module in imports(path):
            other = room_of(module)
            if other in NEVER.get(room, set()):
                yield f"{module}: never"
            if module == package:
                yield f"{module}: its own face"
            within = other in FLOOR and other.split(".")[0] == package and other != room
            if within and FLOOR[other] >= FLOOR[room]:
                yield f"{module}: not lower"

    inner = {name: path for name, path in MODULES.items() if name not in FACE_NAMES}
    assert faults(lambda name, path: list(upward(name, path)), inner) == {}


def test_seke_enters_the_engine_by_its_face():
    def inner(_, path):
        return [module for module in imports(path) if module.startswith("engine.")]

    assert faults(inner, modules_of("seke")) == {}


def test_no_modules_know_each_other():
    """Whether at once, within a function, or for types alone."""
    graph = {
        name: {module for module in imports(path) if module in MODULES and module != name}
        for name, path in MODULES.items()
        if name not in FACE_NAMES
    }
    try:
        list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail(f"a circle of imports: {error.args[1]}")


@pytest.mark.parametrize("module", [engine, seke])
def test_the_faces_hold_what_they_promise(module):
    assert sorted(module.__all__) == module.__all__
    assert set(module.__all__) <= set(dir(module))
    for name in module.__all__:
        assert getattr(module, name).__doc__ or name == "__version__"
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = module.nothing


def run(code, **options):
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT, **options
    ).stdout


def test_help_loads_nothing_heavy():
    code = (
        "import sys; from seke.cli.main import main; main(['--help'], standalone_mode=False); "
        "print(sorted(sys.modules))"
    )
    loaded = run(code)
    for name in ("torch", "numpy", "yaml", "rich", "networkx", "pgmpy", "pyro", "openai"):
        assert f"'{name}'" not in loaded


def test_infer_loads_only_what_it_needs(tmp_path):
    samples = (ROOT / "examples" / "faces" / "samples.jsonl").read_text("utf-8").splitlines()
    (tmp_path / "s.jsonl").write_text("\n".join(samples[:12]), "utf-8")
    code = (
        "import sys; from seke.cli.main import main; "
        f"main(['infer', {str(tmp_path / 's.jsonl')!r}, '--json'], standalone_mode=False); "
        "print('LOADED', sorted(sys.modules))"
    )
    loaded = run(code).split("LOADED")[1]
    slow = (
        "torch",
        "pyro",
        "pgmpy",
        "pyarrow",
        "openai",
        "sympy",
        "pandas",
        "rich",
        "multiprocessing",
        "scipy",
        "sqlite3",
        "numpy.ma",
    )
    for name in slow:
        assert f"'{name}'" not in loaded


def test_a_wheel_is_whole_and_keeps_to_its_own_knowledge(tmp_path):
    from hatchling.builders.wheel import WheelBuilder

    (wheel,) = WheelBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"])
    site, elsewhere = tmp_path / "site", tmp_path / "elsewhere"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    (elsewhere / "knowledge").mkdir(parents=True)
    (elsewhere / "knowledge" / "base.yaml").write_text("name: another\n")
    (elsewhere / "samples.jsonl").write_text(
        '{"item": "a", "observer": "gpt-4o", "question": "expression", "draw": 0, "expression": "fear"}\n'
    )
    code = (
        f"import seke, engine; assert seke.__file__.startswith({str(site)!r}), seke.__file__; "
        "print(seke.knowledge().name, next(iter(seke.infer('samples.jsonl')))['item'])"
    )
    shown = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=elsewhere,
        env={**os.environ, "PYTHONPATH": str(site)},
    ).stdout
    assert shown.split() == ["faces", "a"]
    assert (site / "seke" / "knowledge" / "activations.yaml").exists()
    assert (site / "seke" / "knowledge" / "tests" / "prototypes.yaml").exists()
    assert (site / "seke" / "py.typed").exists()
    assert (site / "engine" / "py.typed").exists()
    assert (site / "seke" / "explanations" / "explanation.yaml").exists()
    for name in (
        *(
            "graphics/face.yaml",
            "graphics/face.js",
            "graphics/page.css",
            "explanations/explain.html",
            "reports/web/app.js",
        ),
        *("knowledge_tools/table_verdicts.html", "knowledge_tools/table_verdicts.css"),
        *("observers/face-landmarker.yaml", "observers/fer.yaml", "formats/openface.yaml"),
        *("start/study.toml", "start/prices.yaml"),
        *(f"start/demo/{name}" for name in ("samples.jsonl", "overlay.yaml", "faces.yaml", "try.ipynb")),
        *("review/web/review.html", "review/web/review.js", "review/web/review.css"),
        *("playground/web/play.html", "playground/web/play.css", "playground/web/tree.js"),
    ):
        assert (site / "seke" / name).exists()


def test_files_that_the_inner_loop_leaves_out_are_there():
    assert [name for name in sorted(WHOLE_FILES) if not (ROOT / "tests" / name).is_file()] == []


# A name says what the value is, not which part it plays in a sentence.
PRONOUNS = {"one", "found", "told", "said", "mine", "own", "left", "why", "rest", "met"}


def bound_names(path):
    """Names that functions bind: parameters, locals, loop variables, caught errors."""
    for node in nodes_of(path):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.ExceptHandler) and node.name:
            yield node.name


def test_no_name_is_a_pronoun():
    """In code, in what makes the documentation, in examples."""
    makers = [*(ROOT / "docs" / "_ext").glob("*.py"), *(ROOT / "docs" / "gallery_src").glob("*.py")]
    examples = list((ROOT / "examples").rglob("*.py"))
    assert len(makers) > 15
    assert examples
    modules = MODULES | {str(path.relative_to(ROOT)): path for path in (*makers, *examples)}
    assert faults(lambda _, path: PRONOUNS & set(bound_names(path)), modules) == {}


def test_a_class_name_has_one_meaning():
    places = {}
    for name, path in MODULES.items():
        for node in nodes_of(path):
            if isinstance(node, ast.ClassDef):
                places.setdefault(node.name, []).append(name)
    assert {name: modules for name, modules in places.items() if len(modules) > 1} == {}


# A reader of a call has to know what its array is, without reading the function.
ARRAY = re.compile(r"\b(Array|Bools|Floats|Ints|NDArray|Tensor)\b")
# An axis is a number, capital letters as in formulas, one of these words, or these added or multiplied.
AXES = (
    "answers batches bins count draws edges events families m n nodes observers parameters paths patterns "
    "points r readings rows runs size sizes states times"
)
WORD = rf"(?:{AXES.replace(' ', '|')})"
TERM = rf"(?:\d+|[A-Z]+'?|(?:[ΣΠ] )?{WORD}(?: of [^(),]+)?)"
AXIS = rf"(?:\.\.\.|{TERM}(?:(?: | \+ | · | or ){TERM})*(?:\.\.\.)?)"
# Of axes one at least has a name: (0, 1) is an interval. What follows a letter are arguments: P(N, K).
SHAPE = re.compile(
    rf"(?<!\w)\((?=[^()]*[A-Za-z.])(?:{AXIS}(?:, {AXIS})+|{AXIS},|\.\.\.)\)|\b(?:shape|scalar)\b"
)
SHARED = re.compile(r"\b(each|both|shape)\b", re.IGNORECASE)


def public_functions(node):
    """Functions of a module, and methods of its classes, whose name has no underscore."""
    for child in node.body:
        if isinstance(child, ast.ClassDef) and not child.name.startswith("_"):
            yield from public_functions(child)
        elif isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef) and not child.name.startswith("_"):
            yield child


def returned_shapes(node):
    """The shapes that a docstring states, but for those of the arguments: `p: (N, K)`, `p (N, K)`."""
    text = re.sub(r"Args:\n( .*\n?)*", "", ast.get_docstring(node) or "")
    arguments = "|".join({arg.arg for arg in ast.walk(node.args) if isinstance(arg, ast.arg)} - {"self"})
    if arguments:
        text = re.sub(rf"(?s)\b({arguments})(, ({arguments}))*: .*?(?=\n\n|\Z)", "", text)
        text = re.sub(rf"\b({arguments})\s+\([^()]*\)", "", text)
    shapes = SHAPE.findall(" ".join(text.split()))
    return shapes, bool(SHARED.search(text))


def lacks_a_shape(node):
    """Whether a function returns more arrays than its docstring states shapes of."""
    arrays = ARRAY.findall(ast.unparse(node.returns)) if node.returns else []
    if not arrays:
        return False
    shapes, shared = returned_shapes(node)
    return len(shapes) < (1 if shared else len(arrays))


def test_what_returns_arrays_says_their_shape():
    def lacking(_, path):
        return [node.name for node in public_functions(nodes_of(path)[0]) if lacks_a_shape(node)]

    assert faults(lacking) == {}


@pytest.mark.parametrize(
    ("stated", "returns", "lacks"),
    [
        ("Return the values, (N,).", "Floats", False),
        ("Return values (N, states of x), and their counts, (rows, 1 + bins).", "tuple[Ints, Ints]", False),
        ("Return values and their counts, (N,) each.", "tuple[Ints, Ints]", False),
        ("Return the values, of the shape of p.", "Floats", False),
        ("Return the values.", "Floats", True),
        ("Return the values (right, wrong) of P(x, y) in (0, 1).", "Floats", True),
        ("Return the values at p (N,).\n\np: probabilities, (N, K).", "Floats", True),
        ("Return values (N,), and their counts.", "tuple[Ints, Ints]", True),
        ("Return a name.", "str", False),
    ],
)
def test_a_shape_is_told_from_other_brackets(stated, returns, lacks):
    (node,) = ast.parse(f'def values(p) -> {returns}:\n    """{stated}"""\n').body
    assert lacks_a_shape(node) == lacks


# A function is read on one screen, a file in one sitting.
MOST_FUNCTION_LINES, MOST_FILE_LINES = 60, 450
# The one place that pays is read as a whole.
LONG_FILES = {"seke.runs.ledger"}


def test_functions_and_files_are_short():
    def long(name, path):
        functions = [
            node.name
            for node in nodes_of(path)
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            and node.end_lineno - node.lineno >= MOST_FUNCTION_LINES
        ]
        lines = text_of(path).count("\n")
        return functions + [lines] * (lines >= MOST_FILE_LINES and name not in LONG_FILES)

    assert faults(long) == {}
