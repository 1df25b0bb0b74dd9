"""Prints HCL files (Terraform, Packer), taken together, as JSON.

Labels nest: {"resource": {"aws_iam_role": {"worker": {…}}}}. Text is without its quotes, and what is not text but an
expression is in ${}.
"""

import json
import sys

import hcl2


def plain(value):
    if isinstance(value, dict):
        return {bare(key): plain(it) for key, it in value.items() if not (key.startswith("__") and key.endswith("__"))}
    if isinstance(value, list):
        return [plain(it) for it in value]
    return bare(value) if isinstance(value, str) else value


def bare(text):
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] == '"' else text


def merge(into, what):
    for key, value in what.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            merge(into[key], value)
        elif key in into:
            raise SystemExit(f"{key} is there twice")
        else:
            into[key] = value


together = {}
for path in sys.argv[1:]:
    with open(path) as file:
        for kind, blocks in plain(hcl2.load(file)).items():
            for block in blocks:
                merge(together.setdefault(kind, {}), block)
json.dump(together, sys.stdout)
