"""What the image installs is what the checkout has: a file that no pattern names would be missing there alone."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_every_file_that_is_no_module_is_package_data() -> None:
    for package in ("gateway", "workers"):
        patterns = PROJECT["tool"]["setuptools"]["package-data"].get(package, [])
        packed = {path for pattern in patterns for path in (ROOT / package).glob(pattern)}
        there = {path for path in (ROOT / package).rglob("*") if path.is_file() and "__pycache__" not in path.parts}
        assert {path for path in there - packed if path.suffix != ".py"} == set()


def test_every_directory_with_modules_is_a_package() -> None:
    modules = [path for package in ("gateway", "workers") for path in (ROOT / package).rglob("*.py")]
    assert {path.parent for path in modules if not (path.parent / "__init__.py").exists()} == set()


def test_the_constraints_name_exact_versions_and_nothing_else() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pinned = [line for line in lines if not line.startswith("#")]
    assert [line for line in pinned if not re.fullmatch(r"[A-Za-z0-9_.-]+==[0-9][0-9a-z.]*", line)] == []


def test_every_dependency_has_an_exact_version() -> None:
    optional = PROJECT["project"]["optional-dependencies"]
    wanted = [*PROJECT["project"]["dependencies"], *optional["local"], *optional["traces"], *optional["dev"]]
    names = {normal(re.split(r"[\[<>=!; ]", each)[0]) for each in wanted}
    pinned = {normal(line.partition("==")[0]) for line in (ROOT / "constraints.txt").read_text().splitlines()}
    assert names - pinned == set()


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
