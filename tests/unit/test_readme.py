"""What the README says of the product is what the product does."""

import re

from tests.readme import README, table, written


def test_the_table_of_settings_is_up_to_date() -> None:
    assert written() == table(), "run: python -m tests.readme"


def test_every_file_that_the_readme_names_exists() -> None:
    root = README.parent
    named = re.findall(r"`((?:gateway|workers|tests)/[\w./]+)`", README.read_text(encoding="utf-8"))
    assert named
    assert [name for name in named if not (root / name).exists()] == []
