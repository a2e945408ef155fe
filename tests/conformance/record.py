"""Record the conformance results from MXNet 1.9.1.

    python record.py             record under this interpreter, which has mxnet
    python record.py reduce nn   record these families only

`make record-conformance` makes an environment that has mxnet and runs this there.

Every family runs in a process of its own. A case that kills the process is written down as a crash
and the rest of its family goes on in a new process.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))


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
        "--show-errors", action="store_true", help="print the message of every recorded error"
    )
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        sys.path.insert(0, HERE)
        family, skip, output = options.families
        with open(skip, encoding="utf-8") as f:
            run_family(family, set(json.load(f)), output)
        return
    sys.path.insert(0, HERE)
    import harness

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
