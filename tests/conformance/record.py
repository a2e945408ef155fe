"""Record the conformance results from MXNet 1.9.1.

    python record.py                      record under this interpreter, which has mxnet
    python record.py --make-environment   make MXNet's environment first, then record in it
    python record.py reduce nn            record these families only

Every family runs in a process of its own. A case that kills the process is written down as a crash
and the rest of its family goes on in a new process.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import venv

HERE = os.path.dirname(os.path.abspath(__file__))

# The last NumPy and SciPy that MXNet 1.9.1, the last release, can be imported with.
REQUIREMENTS = ["numpy==1.23.5", "mxnet==1.9.1", "scipy<1.12", "graphviz", "pytest"]
DEFAULT_ENVIRONMENT = os.path.join(os.path.expanduser("~"), ".cache", "mxnet-oracle")


def make_environment(path):
    """Create the virtual environment with MXNet 1.9.1 if it is missing; return its Python."""
    python = os.path.join(path, "bin", "python")
    probe = [python, "-c", "import mxnet; assert mxnet.__version__ == '1.9.1'"]
    ready = os.path.exists(python) and subprocess.run(probe, capture_output=True).returncode == 0
    if not ready:
        venv.create(path, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "-q", *REQUIREMENTS], check=True)
    return python


def run_family(family, skip, output):
    """In a child process: run the cases not in ``skip``; a JSON line before and after each."""
    import harness
    import mxnet

    with open(output, "a", encoding="utf-8") as f:
        for item in harness.load_cases()[family]:
            if item.name in skip:
                continue
            if item.unsafe:
                print(
                    json.dumps({"name": item.name, "result": {"unsafe": True}, "text": None}),
                    file=f,
                )
                continue
            print(json.dumps({"start": item.name}), file=f, flush=True)
            result, text = harness.run(item, mxnet)
            pending = harness.attempt(
                mxnet.nd.waitall
            )  # an error of work that the case did not wait for
            if isinstance(pending, harness.Raised) and "error" not in (
                result if isinstance(result, dict) else {}
            ):
                result, text = harness.encode(pending), pending.text
            print(
                json.dumps({"name": item.name, "result": result, "text": text}), file=f, flush=True
            )


def record_family(family, show_errors):
    """Run one family, starting again after each crash, and write its recording."""
    import harness
    import numpy as np

    results, texts = {}, {}
    with tempfile.TemporaryDirectory() as folder:
        while True:
            output = os.path.join(folder, "out.jsonl")
            skip = os.path.join(folder, "skip.json")
            open(output, "w").close()
            with open(skip, "w", encoding="utf-8") as f:
                json.dump(list(results), f)
            command = [
                sys.executable,
                "-W",
                "ignore",
                os.path.abspath(__file__),
                "--child",
                family,
                skip,
                output,
            ]
            child = subprocess.run(command, capture_output=True, text=True)
            started = None
            with open(output, encoding="utf-8") as f:
                for line in map(json.loads, f):
                    started = line.get("start", started)
                    if "name" in line:
                        results[line["name"]] = line["result"]
                        texts[line["name"]] = line["text"]
            if child.returncode == 0:
                break
            if child.returncode > 0 or started is None or started in results:
                raise RuntimeError(f"{family}: the recorder failed\n{child.stderr[-3000:]}")
            results[started] = {"crash": -child.returncode}
            print(f"  {family}::{started}: MXNet crashed with signal {-child.returncode}")
    if show_errors:
        for name, text in texts.items():
            if text:
                print(
                    f"  {family}::{name}: {results[name]['error'][0]}: "
                    f"{' '.join(text.split())[:300]}"
                )
    order = [item.name for item in harness.load_cases()[family]]
    header = {"mxnet": "1.9.1", "numpy": np.__version__}
    lines = [f"{json.dumps(n)}: {json.dumps(results[n], separators=(',', ':'))}" for n in order]
    with open(harness.recording_path(family), "w", encoding="utf-8") as f:
        f.write(
            '{"header": ' + json.dumps(header) + ',\n"results": {\n' + ",\n".join(lines) + "\n}}\n"
        )
    return len(order)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("families", nargs="*", help="families to record (default: all)")
    parser.add_argument(
        "--make-environment", action="store_true", help="make MXNet's environment, record in it"
    )
    parser.add_argument(
        "--environment", default=os.environ.get("MXNET_ORACLE", DEFAULT_ENVIRONMENT)
    )
    parser.add_argument(
        "--show-errors", action="store_true", help="print the message of every recorded error"
    )
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.make_environment:
        python = make_environment(options.environment)
        flags = ["--show-errors"] if options.show_errors else []
        command = [python, "-W", "ignore", os.path.abspath(__file__), *flags, *options.families]
        raise SystemExit(subprocess.run(command).returncode)
    if options.child:
        sys.path.insert(0, HERE)
        family, skip, output = options.families
        with open(skip, encoding="utf-8") as f:
            run_family(family, set(json.load(f)), output)
        return
    sys.path.insert(0, HERE)
    import harness  # needs NumPy, which the interpreter that only makes the environment may lack

    os.makedirs(harness.RECORDED, exist_ok=True)
    families = harness.load_cases()
    unknown = set(options.families) - set(families)
    if unknown:
        parser.error(
            f"no such family: {', '.join(sorted(unknown))}; there are {', '.join(families)}"
        )
    for family in options.families or families:
        print(f"{family}: {record_family(family, options.show_errors)} cases")


if __name__ == "__main__":
    main()
