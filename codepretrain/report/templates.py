"""The environment of the report's HTML templates."""

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from codepretrain.report import figure_style


def environment() -> Environment:
    """Returns the environment, with the filters and the colors that every page uses."""
    made = Environment(
        loader=PackageLoader("codepretrain.report", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["breakable"] = breakable
    made.filters["spaced"] = lambda text: text.replace("_", " ")
    made.globals |= {
        "light_variants": figure_style.VARIANT_COLORS,
        "dark_variants": figure_style.DARK_VARIANT_COLORS,
        "light_sources": figure_style.SOURCE_COLORS,
        "dark_sources": figure_style.DARK_SOURCE_COLORS,
    }
    return made


def breakable(text: str) -> Markup:
    """Returns `text` escaped, with line breaks allowed after underscores and slashes."""
    return Markup(str(escape(text)).replace("_", "_<wbr>").replace("/", "/<wbr>"))
