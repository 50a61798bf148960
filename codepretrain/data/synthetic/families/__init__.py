"""Families of problems by name: at least one file for each theme."""

from collections.abc import Mapping
from types import MappingProxyType

from codepretrain.data.synthetic.families import (
    bits,
    classes,
    dates,
    digits,
    dynamic,
    formatting,
    geometry,
    graphs,
    lists,
    mappings,
    matrices,
    number_classes,
    numbers,
    orders,
    parsing,
    pipelines,
    recursion,
    rules,
    simulation,
    strings,
    words,
)
from codepretrain.data.synthetic.families.family import Family

_THEMES = (
    *(strings, words, numbers, digits, lists, pipelines, mappings, recursion, parsing, dates),
    *(matrices, graphs, dynamic, simulation, bits, geometry, formatting, rules, orders),
    *(classes, number_classes),
)

FAMILIES: Mapping[str, Family] = MappingProxyType(
    {family.__name__: family for theme in _THEMES for family in theme.FAMILIES}
)
