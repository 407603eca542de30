"""A market of embeddings: two suppliers of a tiny sentence model, asked by the stock client."""

from collections.abc import Iterator

import numpy as np
import openai
import pytest

from localnet import LocalMarket, MarketPlan
from localnet.market import EnginePlan
from tests.supplier.engines.sentences import HIDDEN, write_sentence_model

pytestmark = [pytest.mark.e2e, pytest.mark.anvil, pytest.mark.xdist_group("embeddings")]
NAME = "tiny-sentences"


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalMarket]:
    directory = tmp_path_factory.mktemp("sentences")
    write_sentence_model(directory)
    plan = MarketPlan(suppliers=2, engines=(EnginePlan(model=directory, name=NAME),))
    with LocalMarket.start(plan) as running:
        yield running


def test_texts_are_embedded_and_the_model_says_that_it_embeds(market: LocalMarket) -> None:
    with openai.OpenAI(base_url=market.base_url, api_key=market.api_key) as client:
        answer = client.embeddings.create(model=NAME, input=["The cat sat.", "a dog ran"])
        (model,) = client.models.list().data

        assert [len(each.embedding) for each in answer.data] == [HIDDEN, HIDDEN]
        assert np.linalg.norm(answer.data[0].embedding) == pytest.approx(1)
        assert answer.usage.prompt_tokens == 11
        assert model.capabilities == ["embeddings"]
        with pytest.raises(openai.BadRequestError, match="serves embeddings"):
            client.chat.completions.create(
                model=NAME, messages=[{"role": "user", "content": "hello"}]
            )
        with pytest.raises(openai.BadRequestError, match="maximum context length"):
            client.embeddings.create(model=NAME, input="a " * 100)
