#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Whether the JSON Schemas say what the decoder says, by an independent validator.

Usage: schema_agrees.py SCHEMAS DOCUMENTS [--complete]. SCHEMAS is the directory of the schemas,
DOCUMENTS a file with one JSON object a line: {"kind", "text", "problems": [{"path", "message"}]},
a document and what the decoder has against it (nothing: it is accepted). For each of them

- what the decoder accepts, the schema accepts;
- what the decoder refuses, the schema refuses at the same place, unless the table below says that
  only the code can see it; then the schema accepts it.

With --complete every row of that table must have been met. The last line counts documents.
"""
import json
import re
import sys
import warnings

warnings.simplefilter("ignore")
from jsonschema import Draft202012Validator  # noqa: E402

# Messages of problems that no schema of one key can express.
ONLY_CODE = [
    # between keys
    r"(cores|iB) are more than cpu\.cores|is more than memory\.limit|is less than memory\.guarantee",
    r"is more than .* get in one period",
    r"cannot be dedicated|a dedicated plan guarantees",
    r'expected exactly one of \{"throttle"',
    r'expected either "unix"',
    r"only a unix socket has a group",
    r"only a tcp listener has tls",
    r"has no unix socket",
    r"pass the end of the 32-bit ids",
    r"has no addresses",
    r'"uplink_proxy" needs',
    r'the mode "routed" needs an "uplink"',
    r"^need an address",
    r'expected either "allow" or "deny"',
    r"only tcp and udp have ports",
    r"where each port and range counts",
    r'^"mtu" \d+ is too small for IPv6',
    r"is not a host name as well",
    r"the document has \d+ instances; the quota is",
    # between elements of a list
    r"is the name of",
    r"is devices\[\d+\] already",
    r"^.* overlaps .* of networks",
    r"is in no range of this network",
    r"stands by itself",
    r"is asked for by .* already",
    # what no guest gets
    r"^no guest gets ",
    r"^no guest can have ",
    r"has addresses that no guest can have",
    r'^"[0-9a-f.:]+/\d+" is too large; the largest is a /',
    # what this build knows
    r"cannot be served: vpsd",
    r"matches nothing that can be unsupported",
    # numbers: decimals, which validators test in binary; quantities, which are text to a schema
    r"has more than 3 decimals",
    r'^"0*[1-9][^"]*" is too (small|large)',
]
# Forms that a regular expression knows roughly: the schema may accept or refuse.
ROUGHLY = [
    r"is not an IPv4 range",  # host bits
    r"is not an IPv6 range",
    r"is not an address or a range",
    r"is not an IPv6 address",
    r"is not an address, FIRST-LAST or a range",
    r"is not ADDRESS:PORT",
    r"is not a list of ports",  # 80-22
]
# Not a matter of values: the text is no JSON, too long, or too deep.
TEXT = re.compile(r"^\d+:\d+$")


def load(text):
    """The document; None when it is none. Keys that are given twice count as that."""

    def pairs(items):
        if len({k for k, _ in items}) < len(items):
            raise ValueError("a key is given twice")
        return dict(items)

    try:
        return json.loads(text, object_pairs_hook=pairs)
    except ValueError:
        return None


def path_of(error):
    path = ""
    for part in error.absolute_path:
        path += f"[{part}]" if isinstance(part, int) else ("." if path else "") + part
    return path


def is_seen(path, errors):
    """Whether the schema has something against this path: there; or, of a key that is missing or
    unknown, by its name one level up (labels may have dots in them)."""
    if path in errors:
        return True
    return any(f"'{path[m.end():]}'" in text
               for m in re.finditer(r"^|[.]", path)
               for text in errors.get(path[:m.start()], []))


def kind_of(record, doc):
    if record["kind"] != "auto":
        return record["kind"]
    return next((k for k in ("plan", "tenant") if isinstance(doc, dict) and k in doc), "host")


class Comparison:
    def __init__(self, directory):
        self.validators = {}
        for kind in ("host", "plan", "tenant"):
            with open(f"{directory}/{kind}.schema.json", encoding="utf-8") as f:
                schema = json.load(f)
            Draft202012Validator.check_schema(schema)
            self.validators[kind] = Draft202012Validator(schema)
        self.met = set()
        self.accepted = self.refused = self.text = self.code = 0

    def is_known(self, message, table):
        found = [row for row in table if re.search(row, message)]
        self.met.update(found)
        return bool(found)

    def complaint(self, record):
        """What is wrong with the schema, or None."""
        problems = record["problems"]
        doc = load(record["text"])
        if doc is None or any(TEXT.match(p["path"]) for p in problems):
            self.text += 1
            return None if problems else "the decoder accepts what is no JSON"
        errors = {}
        for e in self.validators[kind_of(record, doc)].iter_errors(doc):
            errors.setdefault(path_of(e), []).append(e.message)
        if not problems:
            self.accepted += 1
            return f"accepted, refused by the schema: {errors}" if errors else None
        self.refused += 1
        clear = [p for p in problems if not self.is_known(p["message"], ONLY_CODE)]
        sure = [p for p in clear if not self.is_known(p["message"], ROUGHLY)]
        if not clear:
            self.code += 1
            return f"only the code should see it, and the schema does: {errors}" if errors else None
        for p in sure:
            if not is_seen(p["path"], errors):
                return f"refused at '{p['path']}' ({p['message']}), the schema sees {errors or 'nothing'}"
        return None


def main():
    comparison = Comparison(sys.argv[1])
    failed = n = 0
    with open(sys.argv[2], encoding="utf-8") as f:
        for line in f:
            record = json.loads(line)
            n += 1
            complaint = comparison.complaint(record)
            if complaint:
                failed += 1
                print(f"{record['kind']} {record['text'][:400]}\n    {complaint}")
    if "--complete" in sys.argv:
        for row in ONLY_CODE + ROUGHLY:
            if row not in comparison.met:
                failed += 1
                print(f"no document has the problem /{row}/")
    print(f"{n} documents: {comparison.accepted} accepted, {comparison.refused} refused "
          f"({comparison.code} by the code alone), {comparison.text} no JSON; {failed} disagreements")
    return 1 if failed or not n else 0


sys.exit(main())
