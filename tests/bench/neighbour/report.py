# SPDX-License-Identifier: Apache-2.0
"""What the raw figures of the neighbour benchmark say: ratios, what is beyond the control, the goals."""
from statistics import mean, median

PROBES = ["cpu", "memory", "fork", "disk", "latency"]
# Of the loss beyond the control, by the victim's plan: at least so much throughput, at most so much p99.
GOALS = {"shared": (0.95, 1.5), "dedicated": (0.98, 1.2)}


def ratios(figures, around, probe):
    """(throughput, p99) of one run as a ratio to the mean of those around it, or None."""
    if probe not in figures or any(probe not in a for a in around) or not around:
        return None
    operations = mean(a[probe]["per_second"] for a in around)
    p99 = mean(a[probe]["p99_usec"] for a in around)
    if operations <= 0 or p99 <= 0:
        return None
    return figures[probe]["per_second"] / operations, figures[probe]["p99_usec"] / p99


def sequences(result):
    """The rows of each system in each pass, as they were run."""
    found = {}
    for row in result["rows"]:
        found.setdefault((row["system"], row["pass"]), []).append(row)
    return found


def attacked(result):
    """{(system, attack, probe): [(throughput, p99), ...]}, one for each pass."""
    cells = {}
    for (system, _), rows in sequences(result).items():
        for i, row in enumerate(rows):
            if not row["attack"]:
                continue
            before = next((r for r in reversed(rows[:i]) if not r["attack"]), None)
            after = next((r for r in rows[i + 1:] if not r["attack"]), None)
            around = [r["figures"] for r in (before, after) if r]
            for probe in row["figures"]:
                found = ratios(row["figures"], around, probe)
                if found:
                    cells.setdefault((system, row["attack"], probe), []).append(found)
    return cells


def medians(cells):
    return {key: (median(t for t, _ in pairs), median(p for _, p in pairs)) for key, pairs in cells.items()}


def noise(result):
    """{probe: (throughput, p99)} that nine of ten runs without an attack keep, treated as if they were attacked ones."""
    found = {}
    for rows in sequences(result).values():
        alone = [r["figures"] for r in rows if not r["attack"]]
        for i in range(1, len(alone) - 1):
            for probe in alone[i]:
                pair = ratios(alone[i], [alone[i - 1], alone[i + 1]], probe)
                if pair:
                    found.setdefault(probe, []).append(pair)
    quantile = lambda values, q: sorted(values)[round(q * (len(values) - 1))]
    return {probe: (quantile([t for t, _ in pairs], 0.1), quantile([p for _, p in pairs], 0.9))
            for probe, pairs in found.items()}


def beyond(cell, control, guarantee):
    """What is lost besides what the control lost: of the throughput that is guaranteed, and of p99. No attack is a help."""
    kept = min(1, cell[0] / guarantee) / min(1, control[0] / guarantee) if control[0] > 0 else float("inf")
    return kept, max(1, cell[1]) / max(1, control[1])


def judge(result):
    """[{attack, probe, control, SYSTEM: (ratios, beyond), missed: of vpsd}] in the order of the run."""
    cells, limits, lines = medians(attacked(result)), GOALS[result["kind"]], []
    for attack in dict.fromkeys(r["attack"] for r in result["rows"] if r["attack"]):
        for probe in PROBES:
            control = cells.get(("control", attack, probe))
            line = {"attack": attack, "probe": probe, "control": control}
            for system in dict.fromkeys(r["system"] for r in result["rows"]):
                cell = cells.get((system, attack, probe))
                if system != "control" and cell:
                    more = beyond(cell, control, result["guarantee"]) if control else None
                    line[system] = cell, more
                    line[f"missed {system}"] = more is not None and (more[0] < limits[0] or more[1] > limits[1])
            if len(line) > 3:
                lines.append(line)
    return lines


def failures(result):
    """(what is the victim's or the host's, what is another system's)."""
    ours = [f"vpsd's log: {line}" for line in result["log"]]
    others = []
    for row in result["rows"]:
        for failure in row["failures"]:
            text = f"{row['attack'] or 'alone'}, pass {row['pass'] + 1}: {failure}"
            (ours if row["system"] == "vpsd" else others).append(text)
    if not any(row["system"] == "vpsd" and row["figures"] for row in result["rows"]):
        ours.append("vpsd: nothing was measured")
    return ours, others


def show_pair(pair, mark=" "):
    return f"{100 * pair[0]:4.0f} %{pair[1]:7.2f}{mark}" if pair else f"{'-':>6}{'-':>7} "


def table(result):
    names = [s for s in ("vpsd", "lxc", "nspawn") if any(r["system"] == s for r in result["rows"])]
    lines = [f"{'':24}{'control':^14}" + "".join(f"  {n:^14}{'beyond control':^14}" for n in names),
             f"{'attack':16}{'probe':8}" + "  thr.    p99 " + "    thr.    p99   thr.    p99 " * len(names)]
    for line in judge(result):
        text = f"{line['attack']:16}{line['probe']:8}{show_pair(line['control'])}"
        for name in names:
            cell, more = line.get(name, (None, None))
            text += f"  {show_pair(cell)}{show_pair(more, '!' if line.get(f'missed {name}') else ' ')}"
        lines.append(text.rstrip())
    return "\n".join(lines)


def summary(result):
    throughput, p99 = GOALS[result["kind"]]
    lines, judged, floor = [], judge(result), noise(result)
    for name in ("vpsd", "lxc", "nspawn"):
        seen = [line for line in judged if line.get(name) and line[name][1]]
        if not seen:
            continue
        missed = [line for line in seen if line[f"missed {name}"]]
        lines.append(f"{name}: {len(seen) - len(missed)} of {len(seen)} cells meet the goal beyond the control (at least "
                     f"{100 * throughput:.0f} % of {'the guaranteed' if result['guarantee'] < 1 else 'its'} throughput, p99 "
                     f"within {p99} times); median {100 * median(s[name][1][0] for s in seen):.0f} %, "
                     f"{median(s[name][1][1] for s in seen):.2f} times")
        for line in missed if name == "vpsd" else []:
            more, still = line[name][1], floor.get(line["probe"])
            quiet = still and (more[0] >= throughput or more[0] >= still[0]) and (more[1] <= p99 or more[1] <= still[1])
            lines.append(f"  missed: {line['attack']}, {line['probe']}: {100 * more[0]:.0f} %, {more[1]:.2f} times"
                         + (" (no more than runs without an attack differ)" if quiet else ""))
    if floor:
        lines.append("noise: nine of ten runs without an attack keep, of those around them: " + ", ".join(
            f"{probe} {100 * floor[probe][0]:.0f} % and {floor[probe][1]:.2f} times" for probe in PROBES if probe in floor))
    slowest = [r["ls_seconds"] for r in result["rows"] if r.get("ls_seconds")]
    if slowest:
        lines.append(f"vps ls on the host, attack or not: median {median(slowest):.2f} s, slowest {max(slowest):.2f} s")
    return "\n".join(lines)


def explain(result):
    victim = result["plans"]["victim"]
    return (f"== {result['kind']} plan: the victim has {victim['cpu']['cores']} core(s)"
            + (f", {victim['cpu']['guarantee']} of it guaranteed" if "guarantee" in victim["cpu"] else " of its own")
            + f", the attacker all others; Linux {result['kernel']}, {result['cpus']} CPUs, "
            f"{result['passes']} complete passes, {result['ms']} ms a probe\n"
            "Ratios to the run without an attacker, medians of the passes: throughput, p99; ! = goal missed.\n"
            "beyond control = the share of the guaranteed throughput that was kept, and p99, divided by the control's.")


def show(result):
    """Prints all of it; True if nothing of the victim's or of the host's failed."""
    print(explain(result), table(result), summary(result), sep="\n")
    ours, others = failures(result)
    for title, found in ("failed", ours), ("failed elsewhere", others):
        for line in found[:20]:
            print(f"{title}: {line}")
        if len(found) > 20:
            print(f"{title}: {len(found) - 20} more")
    print()
    return not ours
