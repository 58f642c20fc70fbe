#!/usr/bin/env python3
"""Reads a CSV file as different programs do, and writes the cells that each of them finds as JSON.

One reading for each separator that is common, and one as csv.Sniffer would have it.
"""

import csv
import io
import json
import sys

text = sys.stdin.buffer.read().decode("utf-8")
readings = {name: list(csv.reader(io.StringIO(text, newline=""), delimiter=separator))
            for name, separator in {"comma": ",", "semicolon": ";", "tab": "\t"}.items()}
try:
    readings["sniffed"] = list(csv.reader(io.StringIO(text, newline=""), csv.Sniffer().sniff(text, ",;\t|")))
except csv.Error:
    pass  # It gives up on some files, as a person would.
json.dump(readings, sys.stdout)
