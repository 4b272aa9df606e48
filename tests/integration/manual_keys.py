#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Whether a manual page of a document has each key of its schema, and no other.

Usage: manual_keys.py SCHEMA PAGE [--example]. A key is the head of a paragraph (.BR key " (...)")
or, below a key that has one, a word of its text; keys of a list's objects have a section of their
own, "Listeners" for listen. What the head says in brackets of "required", "or null" and "default"
must be what the schema says. --example prints the page's example instead, which is a document.
"""
import json
import re
import sys

ESCAPES = {r"\-": "-", r"\(dq": '"', r"\fI": "", r"\fP": "", r"\fB": ""}


def plain(text):
    for escape, char in ESCAPES.items():
        text = text.replace(escape, char)
    return text


def read_page(lines):
    """{section: {key: (head, text)}}, and the example."""
    sections, example, key, title = {}, [], None, None
    for line in lines:
        if line.startswith((".SH", ".SS")):
            title = plain(line[4:]).strip().strip('"').lower()
            key = None
        elif title == "example":
            if not line.startswith("."):
                example.append(plain(line))
        elif line.startswith(".BR ") and '" ("' not in line and re.match(r'\.BR \S+ " \(', line):
            key, head = re.match(r'\.BR (\S+) " \((.*)\)"$', line).groups()
            sections.setdefault(title, {})[plain(key)] = (plain(head), "")
        elif line.startswith((".TP", ".SH")):
            key = None
        elif key:
            head, text = sections[title][plain(key)]
            sections[title][plain(key)] = (head, text + " " + plain(line))
    return sections, "\n".join(example)


class Page:
    def __init__(self, sections):
        self.sections = sections
        self.wrong = []
        self.used = set()

    def section_of(self, key):
        return next((s for s in self.sections if s.startswith(key)), None)

    def check_head(self, path, head, schema, is_required):
        said = {
            "required": (bool(re.search(r"\brequired\b", head)), is_required),
            "null": (bool(re.search(r"\bor null\b", head)), "null" in schema.get("type", [])),
        }
        for what, (page, rows) in said.items():
            if page != rows:
                self.wrong.append(f"{path}: {what} is {page} in the page, {rows} in the schema")
        default = re.search(r"default (.*)$", head)
        if default and "default" in schema:
            have = schema["default"]
            if default.group(1) not in (have, json.dumps(have)):
                self.wrong.append(f"{path}: the default is {have}, not {default.group(1)}")

    def check_words(self, path, schema, text):
        """Keys below one that has a paragraph: all of them are words of it."""
        for key in schema["properties"]:
            if not re.search(rf"\b{key}\b", text):
                self.wrong.append(f"{path}: its text does not name {key}")

    def check_key(self, section, path, schema, is_required):
        heads = self.sections.get(section, {})
        below = schema.get("items", schema)
        if path not in heads:
            if below is schema and "properties" in schema:
                self.check_object(section, path + ".", schema)
            else:
                self.wrong.append(f"{section}: {path} is missing")
            return
        self.used.add((section, path))
        head, text = heads[path]
        self.check_head(path, head, schema, is_required)
        own = self.section_of(path)
        if "properties" not in below:
            return
        if own and below is not schema:
            self.check_object(own, "", below)
        elif "vps-plan(5)" not in text:
            self.check_words(path, below, head + text)

    def check_object(self, section, prefix, schema):
        for key, value in schema["properties"].items():
            if key != "$schema":
                self.check_key(section, prefix + key, value, key in schema.get("required", []))


def main():
    with open(sys.argv[2], encoding="utf-8") as f:
        text = f.read()
    sections, example = read_page(text.split("\n"))
    if "--example" in sys.argv:
        print(example)
        return 0
    with open(sys.argv[1], encoding="utf-8") as f:
        schema = json.load(f)
    page = Page(sections)
    page.check_object("keys", "", schema)
    for section, heads in sections.items():
        for key in heads:
            if (section, key) not in page.used:
                page.wrong.append(f"{section}: there is no key {key}")
    if "$schema" not in text:
        page.wrong.append("nothing is said of $schema")
    print("\n".join(page.wrong) or f"{len(page.used)} keys")
    return 1 if page.wrong or not page.used else 0


sys.exit(main())
