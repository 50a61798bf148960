"""Drops files that list the top-level domains: tables and patterns of URL parsers."""

import re
from dataclasses import dataclass

from codepretrain.data.document import Document
from codepretrain.data.filters.filter import Filter

_COUNTRIES = """
    ac ad ae af ag ai al am ao aq ar as at au aw ax az ba bb bd be bf bg bh bi bj bm bn bo
    br bs bt bv bw by bz ca cc cd cf cg ch ci ck cl cm cn co cr cu cv cw cx cy cz de dj dk
    dm do dz ec ee eg er es et eu fi fj fk fm fo fr ga gb gd ge gf gg gh gi gl gm gn gp gq
    gr gs gt gu gw gy hk hm hn hr ht hu id ie il im in io iq ir is it je jm jo jp ke kg kh
    ki km kn kp kr kw ky kz la lb lc li lk lr ls lt lu lv ly ma mc md me mg mh mk ml mm mn
    mo mp mq mr ms mt mu mv mw mx my mz na nc ne nf ng ni nl no np nr nu nz om pa pe pf pg
    ph pk pl pm pn pr ps pt pw py qa re ro rs ru rw sa sb sc sd se sg sh si sj sk sl sm sn
    so sr ss st su sv sx sy sz tc td tf tg th tj tk tl tm tn to tr tt tv tw tz ua ug uk us
    uy uz va vc ve vg vi vn vu wf ws ye yt za zm zw
"""
_GENERIC = (
    "com org net edu gov mil int arpa aero asia biz cat coop info jobs mobi museum name post pro "
    "tel travel xxx"
)
_DOMAINS = frozenset(f"{_COUNTRIES} {_GENERIC}".split())
_MARKS = frozenset(["com", "org", "net"])
_MARK_ENDS = [re.compile(mark + r"(?![a-z0-9-])") for mark in sorted(_MARKS)]
_WORD = re.compile(r"[A-Za-z0-9-]+")


@dataclass(frozen=True, kw_only=True)
class TopLevelDomains(Filter):
    """Drops documents that list top-level domains.

    A list is a run of words, separated by anything but letters, digits and hyphens, that are all
    top-level domains: `min_run` different ones, `com`, `org` and `net` among them. The complete
    list of IANA also has more than a thousand brands and nouns, which this filter does not know, so
    `min_domains` different ones anywhere, `arpa` and those three among them, are a list as well.
    Lists of countries or languages have none of the four, and are kept.

    Source: Aryabumi et al. 2024 drop "lists of top-level domains" without a
    definition: both thresholds are ours.
    """

    min_run: int = 30
    min_domains: int = 200

    def judge(self, document: Document) -> str | None:
        lowered = document.text.lower()
        if not all(mark.search(lowered) for mark in _MARK_ENDS):  # fast, and true of most documents
            return None
        run: set[str] = set()
        found: set[str] = set()
        for match in _WORD.finditer(document.text):
            word = match[0].lower()
            if word not in _DOMAINS:
                run.clear()
                continue
            run.add(word)
            found.add(word)
            if len(run) >= self.min_run and run >= _MARKS:
                return "top_level_domains"
        is_complete = len(found) >= self.min_domains and found >= _MARKS | {"arpa"}
        return "top_level_domains" if is_complete else None
