"""What the measurements say: figures, goals met or missed, tables and a chart."""

import statistics

import charts
import libraries
import runner
from workloads import WORKLOADS
from workloads.declaration import AtMost, Measurement, OfPeak, OfPeers

COLOURS = dict(zip((x for x in libraries.LIBRARIES if x != "mxtape"), charts.COLOURS))
KEPT_MARK = "†"
# A turn beside which other processes had more of the machine than this is not worth much.
DISTURBED = 0.05


class Figures:
    """The results of a run, and what follows from them."""

    def __init__(self, results, limits, missing):
        self.results = results  # {workload: {(library, malloc): [a worker's result, ...]}}
        self.limits = [limit for limit in limits if limit]
        self.missing = missing  # {library: why it has no interpreter}

    def median(self, name, library, field, malloc=runner.PLAIN):
        """Return the median of the rounds, or None where one failed or none has this figure."""
        rounds = self.results[name].get((library, malloc), [])
        if not rounds or not all(field in result for result in rounds):
            return None
        return statistics.median(result[field] for result in rounds)

    def best(self, name, library):
        """Return (value, the way to allocate that it was reached with), or None."""
        values = [(self.median(name, library, "value", malloc), malloc) for malloc in runner.MALLOC]
        return min((pair for pair in values if pair[0] is not None), default=None)

    def ratio(self, name, library):
        """Return mxtape's time over the library's, or None."""
        ours, theirs = self.best(name, "mxtape"), self.best(name, library)
        return ours[0] / theirs[0] if ours and theirs else None

    def limit(self, field):
        values = [limit[field] for limit in self.limits]
        return statistics.median(values) if values else None

    def reasons(self):
        """Return {(workload, library): why it is not in the table}."""
        reasons = {}
        for name, by_variant in self.results.items():
            for library, reason in self.missing.items():
                reasons[name, library] = reason
            for (library, malloc), rounds in by_variant.items():
                for result in rounds:
                    reason = result.get("absent") or result.get("error")
                    if reason and self.best(name, library) is None:
                        reasons[name, library] = reason
                    elif reason:
                        reasons[name, f"{library}, memory {malloc}"] = reason
        return reasons

    def reached(self, name):
        """Return [(goal, what was reached or why it is not known, whether that is enough)]."""
        return [(goal, *self.judge(name, goal)) for goal in WORKLOADS[name].goals]

    def judge(self, name, goal):
        if isinstance(goal, OfPeers):
            ratios = [self.ratio(name, peer) for peer in goal.peers]
            known = [ratio for ratio in ratios if ratio is not None]
            if not known:
                return "not measured", None
            return f"{max(known):.2f}", max(known) <= goal.ratio
        if isinstance(goal, AtMost):
            value = self.median(name, "mxtape", goal.figure)
            if value is None:
                return "not measured", None
            return f"{value:.3g}", value <= goal.limit
        assert isinstance(goal, OfPeak)
        peak, rate = self.limit("gflops"), self.median(name, "mxtape", "gflops")
        if peak is None or rate is None:
            return "not measured", None
        return f"{rate / peak:.0%}", rate >= goal.part * peak

    def disturbed(self):
        """Return ({workload: turns that other processes disturbed}, the number of all turns)."""
        turns, by_workload = 0, {}
        for name, by_variant in self.results.items():
            for result in (result for rounds in by_variant.values() for result in rounds):
                turns += "others" in result
                if result.get("others", 0) > DISTURBED:
                    by_workload[name] = by_workload.get(name, 0) + 1
        return by_workload, turns

    def missed(self):
        return [
            f"{name}: {goal}, reached {reached}"
            for name in self.results
            for goal, reached, enough in self.reached(name)
            if enough is False
        ]

    def failures(self):
        """Return a line for each workload that mxtape itself did not get right."""
        return [
            f"{name}: mxtape: {result['error']}"
            for name, by_variant in self.results.items()
            for result in by_variant.get(("mxtape", runner.PLAIN), [])
            if "error" in result and is_timed(name)
        ]


def table(header, rows):
    """Return a table in Markdown: the first column to the left, the others to the right."""
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def number(value):
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def seen(figures):
    """Return the libraries that have any figure, in their order."""
    everything = {library for by_variant in figures.results.values() for library, _ in by_variant}
    return [x for x in (*libraries.LIBRARIES, "numpy") if x in everything]


def title(name):
    workload = WORKLOADS[name]
    return f"{workload.title} ({workload.unit})"


def is_timed(name):
    return not isinstance(WORKLOADS[name], Measurement)


def goals_tables(figures):
    """Return the main tables: medians, and in brackets mxtape's share of each peer's time.

    What programs take comes first, what libraries take by themselves second.
    """
    tables = []
    for timed in (True, False):
        names = [name for name in figures.results if is_timed(name) == timed]
        if names:
            tables.append(goals_table(figures, names))
    return "\n\n".join(tables)


def goals_table(figures, names):
    shown = [x for x in seen(figures) if any(figures.best(name, x) for name in names)]
    rows = []
    for name in names:
        row = [title(name)]
        judged = figures.reached(name)
        row.append("; ".join(str(goal) for goal, _, _ in judged) or "–")
        words = {True: "met", False: "**missed**", None: ""}
        row.append(
            "; ".join(f"{words[enough]} {text}".strip() for _, text, enough in judged) or "–"
        )
        for library in shown:
            best = figures.best(name, library)
            if best is None:
                row.append("–")
                continue
            value, malloc = best
            cell = number(value) + (KEPT_MARK if malloc == runner.KEEPING else "")
            if library != "mxtape":
                ratio = figures.ratio(name, library)
                cell += f" ({ratio:.2f})" if ratio is not None else ""
            row.append(cell)
        rows.append(row)
    return table(["workload", "goal", "reached", *shown], rows)


def memory_table(figures):
    """Return peaks of the resident set, beyond what it was when the inputs were ready."""
    shown = [x for x in seen(figures) if x != "numpy"]
    rows = []
    for name in figures.results:
        if not is_timed(name):
            continue
        row = [WORKLOADS[name].title]
        for library in shown:
            peak, ready, imported = (
                figures.median(name, library, field)
                for field in ("rss_peak", "rss_ready", "rss_imported")
            )
            if peak is None:
                row.append("–")
                continue
            cell = f"{peak / 2**20:,.0f} (+{(peak - ready) / 2**20:,.0f}; {imported / 2**20:,.0f})"
            row.append(cell)
        rows.append(row)
    return table(["MiB", *shown], rows)


def allocation_table(figures):
    """Return each peer's figure with either way to allocate."""
    shown = [x for x in seen(figures) if x not in ("mxtape", "numpy")]
    rows = []
    for name in figures.results:
        if not is_timed(name):
            continue
        row = [title(name)]
        for library in shown:
            values = [figures.median(name, library, "value", malloc) for malloc in runner.MALLOC]
            row.append(" / ".join("–" if v is None else number(v) for v in values))
        rows.append(row)
    return table(["usual / keeping", *shown], rows)


def reasons_list(figures):
    """Return who is left out where, one line for each reason."""
    by_reason = {}
    for (name, library), reason in figures.reasons().items():
        by_reason.setdefault((library, reason), []).append(name)
    lines = [
        f"- {library}: {', '.join(f'`{name}`' for name in names)}: {reason}"
        for (library, reason), names in sorted(by_reason.items())
    ]
    return "\n".join(lines) or "Nobody."


def versions(figures):
    found = {}
    for by_variant in figures.results.values():
        for (library, _), rounds in by_variant.items():
            for result in rounds:
                if "version" in result:
                    found[library] = f"{library} {result['version']} (Python {result['python']})"
    return ", ".join(found[library] for library in libraries.LIBRARIES if library in found)


def quiet(figures):
    """Say whether the machine did anything else meanwhile."""
    by_workload, turns = figures.disturbed()
    if not by_workload:
        return "Nothing else ran meanwhile."
    where = ", ".join(f"`{name}` {count}" for name, count in by_workload.items())
    return (
        f"**Not a quiet machine:** in {sum(by_workload.values())} of {turns} turns other processes "
        f"had more than {DISTURBED:.0%} of it ({where})."
    )


def chart(figures, about):
    groups, goals = {}, {}
    for name in figures.results:
        if name == "installed_size":
            continue
        ratios = {library: figures.ratio(name, library) for library in COLOURS}
        groups[name] = {library: 1 / ratio for library, ratio in ratios.items() if ratio}
        for goal in WORKLOADS[name].goals:
            if isinstance(goal, OfPeers):
                goals.update({(name, peer): 1 / goal.ratio for peer in goal.peers})
    groups = {name: ratios for name, ratios in groups.items() if ratios}
    if not groups:
        return None
    subtitle = (
        f"Peer's time over mxtape's, {about['threads']} threads; right of 1 the peer is slower. "
        "Black marks: goals."
    )
    return charts.ratio_chart("How much longer the peers take", subtitle, groups, COLOURS, goals)


PAGE = """# Benchmark results

{small}{machine}; {threads} threads; commit {commit}; {when}; load before the run {load:.2f};
rounds: {rounds}. {versions}.

Made by `make bench` ([how](README.md)). A figure is the median over the rounds of each round's
median. Libraries take turns, each time in a process of its own; a time counts only when the answer
agrees with a NumPy program in float64. jax runs programs compiled by `jax.jit`, all others run
eagerly. In brackets: mxtape's share of the peer's time, below 1 where mxtape is faster. Peers run
with the usual memory allocation and with glibc told to keep what is freed
({variables}); the better of the two is shown
and compared with, {mark} where that is the latter. mxtape runs with the usual one.

{quiet}

{peaks}
{picture}
{goals}

## Memory

Peak of the resident set in MiB, with the usual allocation; in brackets how much of it came after
inputs and variables were made, and the resident set after the import alone.

{memory}

## The peers' two ways to allocate

{allocation}

## Left out

{reasons}
"""


def write(folder, figures, about):
    """Write RESULTS.md and RESULTS.svg into `folder`."""
    picture = chart(figures, about)
    if picture:
        (folder / "RESULTS.svg").write_text(picture, encoding="utf-8")
    peaks = "The processor's limits were not measured (`make bench` builds what measures them)."
    if figures.limits:
        peaks = (
            f"The processor's limits, measured before and after: {figures.limit('gflops'):.0f} "
            f"GFLOP/s of float32 multiply-adds, {figures.limit('copy_gbs'):.1f} GB/s of copying "
            "(read and written)."
        )
    page = PAGE.format(
        **{
            **about,
            "small": "**Small sizes: these figures mean nothing.**\n\n" if about["small"] else "",
        },
        versions=versions(figures),
        quiet=quiet(figures),
        variables=", ".join(f"`{k}={v}`" for k, v in runner.MALLOC[runner.KEEPING].items()),
        mark=KEPT_MARK,
        peaks=peaks,
        picture="\n![Peers' times over mxtape's](RESULTS.svg)\n" if picture else "",
        goals=goals_tables(figures),
        memory=memory_table(figures),
        allocation=allocation_table(figures),
        reasons=reasons_list(figures),
    )
    (folder / "RESULTS.md").write_text(page, encoding="utf-8")
