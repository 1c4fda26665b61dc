from importlib.util import find_spec

import pytest

from shared.errors import LanguageUnavailable
from shared.languages import Language
from worker.plan.planner import Planner

_PLANNER = Planner()


@pytest.fixture(scope="session")
def planner() -> Planner:
    """One planner for all tests, as in a worker: dictionaries take seconds to load."""
    return _PLANNER


@pytest.fixture(params=list(Language))
def language(request: pytest.FixtureRequest) -> Language:
    """Each language in turn; Japanese and Mandarin are extras."""
    language = Language(request.param)
    if language is Language.MANDARIN and find_spec("jieba") is None:
        pytest.skip("the zh extra is not installed")
    if language is Language.JAPANESE:
        try:
            _PLANNER.g2p(language)
        except LanguageUnavailable as error:
            pytest.skip(error.message)
    return language
