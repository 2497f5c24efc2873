# SPDX-License-Identifier: BSD-2-Clause
"""A strict reader of Prometheus' text format 0.0.4: what is not exactly as the format says is an AssertionError.

    families = parse(text)          # {"noah_requests_total": Family("counter", help, {labels: value})}
    value(families, "noah_site_requests_total", site="example.com")
"""
import re

NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*\Z")
LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*\Z")
NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?\Z|[+-]?Inf\Z|NaN\Z")
TYPES = ("counter", "gauge", "histogram", "summary", "untyped")


class Family:
    def __init__(self, name, kind, words):
        self.name, self.kind, self.help = name, kind, words
        self.samples = {}  # (suffix, ((label, value), …)) -> number


def unescape(text, quotes):
    """Undoes the escapes of a label's value (quotes) or a help text; any other backslash is a fault."""
    known = {"\\": "\\", "n": "\n", '"': '"'} if quotes else {"\\": "\\", "n": "\n"}
    out, at = [], 0
    while at < len(text):
        if text[at] == "\\":
            assert at + 1 < len(text) and text[at + 1] in known, f"a bad escape in {text!r}"
            out.append(known[text[at + 1]])
            at += 2
        else:
            assert text[at] != "\n" and (text[at] != '"' or not quotes), f"not escaped in {text!r}"
            out.append(text[at])
            at += 1
    return "".join(out)


def read_labels(text):
    """'{a="b",c="d"} rest' -> ([("a", "b"), …], ' rest')"""
    labels, at = [], 1
    while text[at] != "}":
        end = text.index("=", at)
        name = text[at:end]
        assert LABEL.match(name) and not name.startswith("__"), f"not a label's name: {name!r}"
        assert text[end + 1] == '"', text
        at = end + 2
        begin = at
        while text[at] != '"':
            at += 2 if text[at] == "\\" else 1
        labels.append((name, unescape(text[begin:at], True)))
        at += 1
        assert text[at] in ",}", f"neither a comma nor a brace behind a label: {text!r}"
        if text[at] == ",":
            at += 1
            assert text[at] != "}", f"a comma behind the last label: {text!r}"
    assert len(labels) == len({name for name, _ in labels}), f"a label twice: {text!r}"
    return labels, text[at + 1:]


def read_sample(line, family):
    match = re.match(r"[a-zA-Z_:][a-zA-Z0-9_:]*", line)
    assert match, f"not a sample: {line!r}"
    name, rest = match.group(), line[match.end():]
    labels = []
    if rest.startswith("{"):
        assert rest != "{}", line
        labels, rest = read_labels(rest)
    assert rest.startswith(" ") and NUMBER.match(rest[1:]), f"not a space and a number: {line!r}"
    assert family is not None and name.startswith(family.name), f"a sample before its family's TYPE: {line!r}"
    suffix = name[len(family.name):]
    assert suffix in (("_bucket", "_sum", "_count") if family.kind == "histogram" else ("",)), f"a sample of no family: {line!r}"
    key = (suffix, tuple(sorted(labels)))
    assert key not in family.samples, f"a sample twice: {line!r}"
    number = float(rest[1:])
    assert family.kind != "counter" or number >= 0, f"a counter below zero: {line!r}"
    family.samples[key] = number


def check_histogram(family):
    series = {}
    for (suffix, labels), number in family.samples.items():
        rest = tuple(label for label in labels if label[0] != "le")
        one = series.setdefault(rest, {"buckets": []})
        if suffix == "_bucket":
            one["buckets"].append((float(dict(labels)["le"]), number))
        else:
            assert "le" not in dict(labels)
            one[suffix] = number
    for one in series.values():
        limits = [limit for limit, _ in one["buckets"]]
        numbers = [number for _, number in one["buckets"]]
        assert limits == sorted(limits) and limits[-1] == float("inf"), f"{family.name}: buckets out of order, or no +Inf"
        assert numbers == sorted(numbers), f"{family.name}: a bucket holds less than the one before"
        assert numbers[-1] == one["_count"] and "_sum" in one, f"{family.name}: +Inf is not the count"


def parse(text):
    assert text.endswith("\n"), "the last line has no end"
    assert "\r" not in text
    families, family, helped = {}, None, None
    for line in text[:-1].split("\n"):
        if line.startswith("# HELP "):
            name, _, words = line[len("# HELP "):].partition(" ")
            assert NAME.match(name) and name not in families, f"help twice, or of no name: {line!r}"
            helped = (name, unescape(words, False))
        elif line.startswith("# TYPE "):
            name, kind = line[len("# TYPE "):].split(" ")
            assert kind in TYPES and helped is not None and helped[0] == name, f"a type without its help: {line!r}"
            assert kind != "counter" or name.endswith("_total"), f"a counter is called ..._total: {name}"
            family = families[name] = Family(name, kind, helped[1])
        else:
            assert line and not line.startswith("#"), f"an empty line or a comment: {line!r}"
            read_sample(line, family)
    for family in families.values():
        if family.kind == "histogram":
            check_histogram(family)
    return families


def value(families, family, suffix="", **labels):
    """The one sample that has these labels, perhaps among others."""
    found = [number for (other, has), number in families[family].samples.items()
             if other == suffix and all(dict(has).get(label) == wanted for label, wanted in labels.items())]
    assert len(found) == 1, f"{family} {labels}: {families[family].samples}"
    return found[0]


def total(families, family, **labels):
    """The sum of all samples that have these labels."""
    return sum(number for (_, has), number in families[family].samples.items()
               if all(dict(has).get(label) == wanted for label, wanted in labels.items()))
