"""Under which licence a component is, as far as its own metadata tells.

What says it most exactly counts: PEP 639's licence expression, a licence field that is one or has a common
name, the classifiers, and at last the text of the licence itself. What leaves the licence open, such as
"BSD License", tells nothing, and the next is asked.

Source of what each says: PEP 639, "Improving License Clarity with Better Package Metadata", with its
appendix on classifiers; for GNU licences without a version their own text: any version may be chosen.
"""

import re
from collections.abc import Iterable, Sequence

from mlops_assets.specs.spdx import canonical

_NAMES = {
    "Apache-2.0": ("Apache", "Apache Software", "Apache 2", "Apache 2.0", "ASL 2.0"),
    "MIT": ("MIT", "Expat"),
    "MIT-0": ("MIT No Attribution (MIT-0)",),
    "BSD-3-Clause": ("BSD 3-Clause", "BSD-3", "New BSD", "Modified BSD"),
    "BSD-2-Clause": ("BSD 2-Clause", "BSD-2", "Simplified BSD"),
    "0BSD": ("Zero-Clause BSD (0BSD)",),
    "ISC": ("ISC", "ISC (ISCL)"),
    "PSF-2.0": ("PSF", "PSFL", "Python Software Foundation"),
    "MPL-2.0": ("MPL 2.0", "Mozilla Public 2.0", "Mozilla Public 2.0 (MPL 2.0)"),
    "Zlib": ("zlib", "zlib/libpng"),
    "Unlicense": ("The Unlicense (Unlicense)", "Unlicense"),
    "CC0-1.0": ("CC0", "CC0 1.0", "CC0 1.0 Universal (CC0 1.0) Public Domain Dedication"),
    "BSL-1.0": ("Boost Software 1.0 (BSL-1.0)",),
    "EPL-2.0": ("Eclipse Public 2.0 (EPL-2.0)",),
    "EUPL-1.2": ("European Union Public Licence 1.2 (EUPL 1.2)",),
    "SSPL-1.0": ("SSPL", "Server Side Public"),
}
_GNU = re.compile(
    r"\b(?:(?P<short>[AL]?)GPL|GNU(?: (?P<long>Affero|Lesser|Library|Library or Lesser))?"
    r" General Public Licen[sc]e)[ -]?(?:v(?:ersion )?)?(?P<version>\d(?:\.\d)?)?(?P<later>\+)?",
    re.IGNORECASE,
)
_FIRST = {"": "1.0", "A": "3.0", "L": "2.0"}
# Words that only one licence's text has. Of a text with several the first is the component's own; the
# others are of what it bundles.
_TEXTS = {
    "Apache-2.0": "apache license version 2.0, january 2004",
    "MIT": "permission is hereby granted, free of charge, to any person obtaining a copy of this software",
    "BSD": "redistribution and use in source and binary forms, with or without modification",
    "ISC": "permission to use, copy, modify, and/or distribute this software for any purpose",
    "MPL-2.0": "mozilla public license version 2.0",
    "PSF-2.0": "this license agreement is between the python software foundation",
    "AGPL-3.0-only": "gnu affero general public license version 3, 19 november 2007",
    "LGPL-3.0-only": "gnu lesser general public license version 3, 29 june 2007",
    "GPL-3.0-only": "gnu general public license version 3, 29 june 2007",
    "GPL-2.0-only": "gnu general public license version 2, june 1991",
    "SSPL-1.0": "server side public license version 1, october 16, 2018",
}
_A_NAME_IS_SHORTER = 200


def licence(expression: str, field: str, classifiers: Sequence[str], texts: Iterable[str]) -> str | None:
    """Return a component's licence as an SPDX expression, or None if its metadata leave it open.

    Args:
        expression: Its licence expression, or empty.
        field: Its licence field: an expression, a name, or the whole text of the licence.
        classifiers: What its licence classifiers say, without ``License ::``.
        texts: The contents of its licence files; read only if nothing else tells.
    """
    found = _expression(expression) or _named(field) or _classified(classifiers)
    return found or next((told for text in (field, *texts) if (told := _written(text))), None)


def _expression(told: str) -> str | None:
    try:
        return canonical(told)
    except ValueError:
        return None


def _named(told: str) -> str | None:
    """Return the licence of a name, or of several with AND or OR between them."""
    if not told or len(told) > _A_NAME_IS_SHORTER:
        return None
    if found := _expression(told):
        return found
    words = re.split(r"\b(AND|OR)\b", told)
    known = [word if index % 2 else _one(word) for index, word in enumerate(words)]
    return _expression(" ".join(word for word in known if word)) if all(known) else None


def _one(name: str) -> str | None:
    return _expression(name.strip()) or _COMMON.get(_words(name)) or _gnu(name)


def _gnu(name: str) -> str | None:
    if not (found := _GNU.search(name)):
        return None
    family = (found["short"] or {"a": "A", "l": "L"}.get((found["long"] or "")[:1].lower(), "")).upper()
    later = bool(found["later"]) or bool(re.search(r"\bor (?:later|newer)|\bv?\d(?:\.\d)?\+", name, re.I))
    version = found["version"] or next(iter(re.findall(r"v(?:ersion )?(\d(?:\.\d)?)", name)), None)
    if version is None:
        return f"{family}GPL-{_FIRST[family]}-or-later"
    whole = version if "." in version else f"{version}.0"
    return _expression(f"{family}GPL-{whole}-{'or-later' if later else 'only'}")


def _classified(classifiers: Sequence[str]) -> str | None:
    """Return what classifiers say together: nobody knows whether one may choose, so that all hold."""
    names = [c.removeprefix("OSI Approved").removeprefix(" :: ") for c in classifiers]
    known = [_one(name) for name in names if name]
    return " AND ".join(sorted({one for one in known if one})) if known and all(known) else None


def _written(text: str) -> str | None:
    """Return the licence that a text is."""
    plain = " ".join(re.sub(r"[#=*>]", " ", text.lower()).split())
    places = {name: plain.find(words) for name, words in _TEXTS.items()}
    first = min((name for name in places if places[name] >= 0), key=places.__getitem__, default=None)
    if first == "BSD":
        return f"BSD-{3 if 'to endorse or promote products' in plain else 2}-Clause"
    return first


def _words(name: str) -> str:
    """Return a name's telling words in one order: "BSD 3-Clause License" as "3-Clause BSD"."""
    plain = re.sub(r"\bversion\b|\bv(?=\d)|\blicen[sc]es?\b|\bthe\b|[,()]", " ", name.lower())
    return " ".join(sorted(plain.split()))


_COMMON = {_words(name): spdx for spdx, names in _NAMES.items() for name in names}
