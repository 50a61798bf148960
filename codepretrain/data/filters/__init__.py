"""Filters by name. A filter drops documents, or replaces parts of their text.

`experiments/filters.py` lists those of the study's sources.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from codepretrain.config.parse import parse, suggestion
from codepretrain.config.schema import FilterConfig
from codepretrain.data.filters.alphabetic_share import AlphabeticShare
from codepretrain.data.filters.data_files import DataFiles
from codepretrain.data.filters.emails import Emails
from codepretrain.data.filters.encoded_data import EncodedData
from codepretrain.data.filters.filter import Filter, Redactor
from codepretrain.data.filters.float_literals import FloatLiterals
from codepretrain.data.filters.generated import Generated
from codepretrain.data.filters.hexadecimal_prefix import HexadecimalPrefix
from codepretrain.data.filters.html_text import HtmlText
from codepretrain.data.filters.licenses import Licenses
from codepretrain.data.filters.line_lengths import LineLengths
from codepretrain.data.filters.scramble import Scramble
from codepretrain.data.filters.secret_keys import SecretKeys
from codepretrain.data.filters.subsample import Subsample
from codepretrain.data.filters.text_length import TextLength
from codepretrain.data.filters.top_level_domains import TopLevelDomains
from codepretrain.data.filters.xml_header import XmlHeader
from codepretrain.errors import UserError, quoted

FILTERS: dict[str, type[Filter] | type[Redactor]] = {
    "alphabetic_share": AlphabeticShare,
    "data_files": DataFiles,
    "emails": Emails,
    "encoded_data": EncodedData,
    "float_literals": FloatLiterals,
    "generated": Generated,
    "hexadecimal_prefix": HexadecimalPrefix,
    "html_text": HtmlText,
    "licenses": Licenses,
    "line_lengths": LineLengths,
    "scramble": Scramble,
    "secret_keys": SecretKeys,
    "subsample": Subsample,
    "text_length": TextLength,
    "top_level_domains": TopLevelDomains,
    "xml_header": XmlHeader,
}


def make_filters(path: str, configs: Sequence[FilterConfig]) -> list[tuple[str, Filter | Redactor]]:
    """Returns the names and filters of a source, in order: what `chain.apply_filters` takes.

    Args:
      path: of the filters in the configuration, for messages: `config.data.sources.code.filters`.

    Raises:
      UserError: no such filter, an unknown option, or one of the wrong type.
    """
    return [
        (config.name, make_filter(config.name, config.options, path=f"{path}[{position}]"))
        for position, config in enumerate(configs)
    ]


def make_filter(name: str, options: Mapping[str, Any], *, path: str) -> Filter | Redactor:
    """Returns the filter of a name with its options.

    Args:
      path: of the filter in the configuration, for messages: `config.data.sources.code.filters[0]`.

    Raises:
      UserError: no such filter, an unknown option, or one of the wrong type.
    """
    if name not in FILTERS:
        near = suggestion(name, list(FILTERS))
        raise UserError(f"{path}.name: no filter named {quoted(name)}{near}")
    return parse(FILTERS[name], dict(options), path=f"{path}.options")
