// Runs the real package, in Python, away from the page's own thread.  What it fetches from elsewhere:
// Python itself and the compiled packages from Pyodide's distribution, and two grammars that are not in it, which
// npm's packages hold as the same kind of file (their digests are checked).
const CDN = "https://cdn.jsdelivr.net/";
const PYODIDE = CDN + "pyodide/v314.0.7/full/";
const PACKAGES = ["tomli", "pyyaml", "libcst", "tree-sitter", "tree-sitter-go"];
const GRAMMARS = {
  bash: ["npm/tree-sitter-bash@0.23.3/tree-sitter-bash.wasm", "sha384-7vLyF6HWUgwJ8DNZpK5pt2UiefboSiHiD8uTSQQEQgIVLyHImriXCeKwnjUZyp1g"],
  tsx: ["npm/tree-sitter-typescript@0.23.2/tree-sitter-tsx.wasm", "sha384-yTQSss5nzaFaEdYg8ou7VejtmDPzvW9Xx+CwhJZtgAg3kxgJFnKCZ/ZmxphPBlkN"],
};

// A grammar is a function that returns the address of its tables; its Python package only wraps that.
const SETUP = `
import ctypes, sys, types

def grammar(module, function, name):
    library = ctypes.CDLL(f"/grammars/{name}.wasm")
    address = getattr(library, f"tree_sitter_{name}")
    address.restype = ctypes.c_void_p
    capsule = ctypes.pythonapi.PyCapsule_New
    capsule.restype = ctypes.py_object
    capsule.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
    made = types.ModuleType(module)
    setattr(made, function, lambda: capsule(address(), b"tree_sitter.Language", None))
    sys.modules[module] = made

grammar("tree_sitter_bash", "language", "bash")
grammar("tree_sitter_typescript", "language_tsx", "tsx")
`;

const RUN = `
import contextlib, io, os, shlex
from pathlib import Path
from click.testing import CliRunner
from hardener.cli import main

def harden(folder, files, options):
    for name, text in files.items():
        place = Path(folder, name).resolve()
        if not place.is_relative_to(folder):
            return "", f"{name}: leads out of the project", 2
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
    os.chdir(folder)
    done = CliRunner().invoke(main, [".", "--diff", *shlex.split(options)])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        return "", f"a fault of this program: {done.exception!r}", 2
    return done.stdout, done.stderr, done.exit_code
`;

let runs = 0;

async function start() {
  const { loadPyodide } = await import(PYODIDE + "pyodide.mjs");
  const python = await loadPyodide({ indexURL: PYODIDE });
  const fetched = await Promise.all([
    fetch(new URL("packages.zip", import.meta.url)).then((answer) => answer.arrayBuffer()),
    ...Object.values(GRAMMARS).map(async ([path, integrity]) => (await fetch(CDN + path, { integrity })).arrayBuffer()),
    python.loadPackage(PACKAGES, { messageCallback: () => {} }),
  ]);
  python.unpackArchive(fetched[0], "zip", { extractDir: "/packages" });
  python.FS.mkdirTree("/grammars");
  Object.keys(GRAMMARS).forEach((name, at) => {
    python.FS.writeFile(`/grammars/${name}.wasm`, new Uint8Array(fetched[at + 1]));
  });
  python.runPython('import sys; sys.path.insert(0, "/packages")' + SETUP + RUN);
  return python;
}

const started = start();

started.then(
  (python) => postMessage({ ready: python.runPython("sys.version.split()[0]") }),
  (error) => postMessage({ failed: String(error) }),
);

onmessage = async ({ data }) => {
  const python = await started;
  const began = performance.now();
  // A folder of its own for each run: what was read of a folder is remembered.
  const given = python.toPy([`/projects/${++runs}`, data.files, data.options]);
  python.globals.set("given", given);
  const [diff, said, code] = python.runPython("harden(*given)").toJs();
  given.destroy();
  postMessage({ diff, said, code, milliseconds: performance.now() - began });
};
