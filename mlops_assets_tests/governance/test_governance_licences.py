"""What a component's metadata tell of its licence, as they are found in the wild."""

# ruff: noqa: E501  (tables: one case a line)

import pytest

from mlops_assets.governance.licences import licence

MIT = "MIT License\n\nPermission is hereby granted, free of charge, to any person obtaining a copy\nof this software and so on"
BSD2 = "Redistribution and use in source and binary forms, with or without\nmodification, are permitted provided that"
BSD3 = f"{BSD2}\n* Neither the name of the project may be used to endorse or promote products"
AGPL = "                    GNU AFFERO GENERAL PUBLIC LICENSE\n                       Version 3, 19 November 2007\n"
GPL = "                    GNU GENERAL PUBLIC LICENSE\n                       Version 3, 29 June 2007\n"


@pytest.mark.parametrize(
    ("expression", "field", "classifiers", "texts", "found"),
    [
        ("MIT", "", [], [], "MIT"),
        ("mit and apache-2.0", "BSD", [], [], "MIT AND Apache-2.0"),
        ("", "Apache License, Version 2.0", [], [], "Apache-2.0"),
        ("", "Apache 2", [], [], "Apache-2.0"),
        ("", "3-Clause BSD License", [], [], "BSD-3-Clause"),
        ("", "BSD 3-Clause OR Apache-2.0", [], [], "BSD-3-Clause OR Apache-2.0"),
        ("", "MIT OR Apache-2.0", ["OSI Approved :: MIT License", "OSI Approved :: Apache Software License"], [], "MIT OR Apache-2.0"),
        ("", "", ["OSI Approved :: Mozilla Public License 2.0 (MPL 2.0)"], [], "MPL-2.0"),
        ("", "", ["OSI Approved", "OSI Approved :: MIT License"], [], "MIT"),
        ("", "", ["OSI Approved :: MIT License", "OSI Approved :: Apache Software License"], [], "Apache-2.0 AND MIT"),
        ("", "BSD", ["OSI Approved :: BSD License"], [], None),
        ("", "BSD", ["OSI Approved :: BSD License"], [BSD3], "BSD-3-Clause"),
        ("", BSD2, [], [], "BSD-2-Clause"),
        ("", "", [], ["", MIT], "MIT"),
        ("", f"{BSD3}\n\nThis copy bundles:\n{GPL}", [], [], "BSD-3-Clause"),
        ("", "", [], [AGPL], "AGPL-3.0-only"),
        ("", "", [], [GPL], "GPL-3.0-only"),
        ("", "", ["OSI Approved :: GNU Affero General Public License v3"], [], "AGPL-3.0-only"),
        ("", "", ["OSI Approved :: GNU Affero General Public License v3 or later (AGPLv3+)"], [], "AGPL-3.0-or-later"),
        ("", "", ["OSI Approved :: GNU Lesser General Public License v2 or later (LGPLv2+)"], [], "LGPL-2.0-or-later"),
        ("", "", ["OSI Approved :: GNU General Public License v3 (GPLv3)"], [], "GPL-3.0-only"),
        ("", "", ["OSI Approved :: GNU Library or Lesser General Public License (LGPL)"], [], "LGPL-2.0-or-later"),
        ("", "GNU AGPLv3", [], [], "AGPL-3.0-only"),
        ("", "AGPL-3.0", ["OSI Approved :: MIT License"], [], "AGPL-3.0-only"),
        ("", "AGPLv3+", [], [], "AGPL-3.0-or-later"),
        ("", "GNU Affero General Public License", [], [], "AGPL-3.0-or-later"),
        ("", "GPL", [], [], "GPL-1.0-or-later"),
        ("", "LGPL v2.1", [], [], "LGPL-2.1-only"),
        ("", "Server Side Public License", [], [], "SSPL-1.0"),
        ("", "Proprietary", ["Other/Proprietary License"], ["All rights reserved."], None),
        ("nonsense", "UNKNOWN", [], [], None),
        ("", "", [], [], None),
    ],
)  # fmt: skip
def test_what_says_it_most_exactly_counts(
    expression: str, field: str, classifiers: list[str], texts: list[str], found: str | None
) -> None:
    assert licence(expression, field, classifiers, texts) == found


def test_licence_files_are_read_only_if_nothing_else_tells() -> None:
    opened = []

    def files() -> object:
        opened.append(1)
        yield MIT

    assert licence("Apache-2.0", "", [], files()) == "Apache-2.0"  # type: ignore[arg-type]
    assert not opened
    assert licence("", "", [], files()) == "MIT"  # type: ignore[arg-type]
