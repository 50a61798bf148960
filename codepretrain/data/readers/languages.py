"""Programming and markup languages: one spelling, the study's two lists, and file name endings.

A language is spelled as in the folders of The Stack: `c-sharp`, `cpp`, `restructuredtext`.
"""

import difflib
import functools

from codepretrain.config.parse import suggestion
from codepretrain.errors import UserError

# The study's 25 languages of web code and 10 of markup, by their share of documents.
WEB_CODE = (
    *("java", "javascript", "php", "python", "c-sharp", "typescript", "c", "cpp", "go", "ruby"),
    *("shell", "kotlin", "swift", "vue", "rust", "scala", "jsx", "sql", "dart", "makefile"),
    *("lua", "haskell", "smalltalk", "tex", "clojure"),
)
MARKUP = (
    *("markdown", "yaml", "json", "html", "css", "scss", "restructuredtext", "toml", "sass"),
    "rmarkdown",
)
NOT_CHOSEN = "language is not chosen"
NAMED_LISTS = {"web_code": WEB_CODE, "markup": MARKUP}

_ENDINGS = {
    "java": "java",
    "javascript": "js mjs cjs",
    "php": "php phtml php3 php4 php5",
    "python": "py pyi pyw",
    "c-sharp": "cs csx",
    "typescript": "ts mts cts tsx",
    "c": "c h",
    "cpp": "cpp cc cxx c++ hpp hh hxx h++ ipp tpp",
    "go": "go",
    "ruby": "rb rake gemspec",
    "shell": "sh bash zsh ksh",
    "kotlin": "kt kts",
    "swift": "swift",
    "vue": "vue",
    "rust": "rs",
    "scala": "scala sbt",
    "jsx": "jsx",
    "sql": "sql",
    "dart": "dart",
    "makefile": "mk mak",
    "lua": "lua",
    "haskell": "hs lhs",
    "smalltalk": "st",
    "tex": "tex sty cls ltx",
    "clojure": "clj cljs cljc edn",
    "markdown": "md markdown mkd",
    "yaml": "yaml yml",
    "json": "json",
    "html": "html htm xhtml",
    "css": "css",
    "scss": "scss",
    "restructuredtext": "rst",
    "toml": "toml",
    "sass": "sass",
    "rmarkdown": "rmd",
    "jupyter-notebook": "ipynb",
    # Neither web code nor markup of the study.
    "assembly": "asm s",
    "cmake": "cmake",
    "cuda": "cu cuh",
    "elixir": "ex exs",
    "erlang": "erl hrl",
    "f-sharp": "fs fsi fsx",
    "fortran": "f f90 f95 f03",
    "groovy": "groovy gradle",
    "julia": "jl",
    "objective-c": "m mm",
    "ocaml": "ml mli",
    "perl": "pl pm",
    "powershell": "ps1 psm1",
    "protocol-buffer": "proto",
    "r": "r",
    "text": "txt",
    "xml": "xml xsd xsl",
}
# Names of The Stack that resemble others, so that they are not taken for misspelled ones.
_OTHERS = (
    *("actionscript", "coffeescript", "cython", "fortran-free-form", "genshi", "graphviz-dot"),
    *("html+django", "html+eex", "html+erb", "html+php", "java-server-pages", "json-ld", "json5"),
    *("jsoniq", "jsonnet", "less", "literate-agda", "literate-coffeescript", "literate-haskell"),
    *("livescript", "lasso", "latte", "mathematica", "matlab", "maxscript", "objective-c++"),
    *("objective-j", "purescript", "qmake", "rescript", "sas", "scheme", "stan", "stylus", "svg"),
    *("tcsh", "textile", "unrealscript", "xslt", "yacc", "yang", "jsonld", "pascal", "prolog"),
)
_BY_ENDING = {end: name for name, ends in _ENDINGS.items() for end in ends.split()}
_BY_FILE_NAME = {
    **dict.fromkeys(("makefile", "gnumakefile"), "makefile"),
    **dict.fromkeys(("rakefile", "gemfile"), "ruby"),
    "dockerfile": "dockerfile",
    "cmakelists.txt": "cmake",
}
_SPECIAL = {"c#": "c-sharp", "f#": "f-sharp", "c++": "cpp", "rmd": "rmarkdown"}


def language_of(name: str) -> str:
    """Returns a language's one spelling: `C#` → `c-sharp`, `Emacs Lisp` → `emacs-lisp`."""
    text = name.strip().lower().replace(" ", "-")
    return _SPECIAL.get(text, text)


def language_of_file(path: str) -> str | None:
    """Returns the language of a file by its name, None if the name does not tell."""
    name = path.rpartition("/")[2].lower()
    _, dot, ending = name.rpartition(".")
    return _BY_FILE_NAME.get(name) or (_BY_ENDING.get(ending) if dot else None)


@functools.cache  # it is called for every document
def chosen_languages(text: str, *, reader: str) -> frozenset[str] | None:
    """Returns the languages of an option: `web_code`, `markup`, or names separated by commas.

    None: every language. A language that is unknown here may be named too.

    Raises:
      UserError: a name is unknown and resembles a known one.
    """
    if not text.strip():
        return None
    known = sorted({*NAMED_LISTS, *_ENDINGS, *_OTHERS, *_BY_FILE_NAME.values()})
    names: set[str] = set()
    for name in (language_of(part) for part in text.split(",") if part.strip()):
        if name not in known and difflib.get_close_matches(name, known, cutoff=0.75):
            near = suggestion(name, known)
            raise UserError(f"reader {reader!r}: languages: there is no {name!r}{near}")
        names |= set(NAMED_LISTS.get(name, (name,)))
    return frozenset(names)
