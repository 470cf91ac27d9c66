"""LangChain and openai-agents: metered as any client, and what they see is what they see without Tollgate."""
import asyncio

import agents
import openai
import pytest
from agents.models.openai_chatcompletions import OpenAIChatCompletionsModel
from agents.models.openai_responses import OpenAIResponsesModel
from langchain_openai import ChatOpenAI, OpenAI, OpenAIEmbeddings

from test_endpoints import CARD, Tenant, proxy  # noqa: F401  (the fixture)
from pricing_oracle import differences

agents.set_tracing_disabled(True)


@pytest.fixture()
def tenant(request, dev, proxy, mock, settled):  # noqa: F811
    mock.reset()
    tenant = Tenant("fw-" + request.node.name, dev, proxy, mock, settled)
    yield tenant
    tenant.client.close()


def both(tenant, ask):
    """The same through Tollgate, whose charge is checked, and without it."""
    through = ask(base_url=tenant.base, api_key=tenant.key)
    tenant.check(1)
    tenant.mock.reset()
    direct = ask(base_url=tenant.mock.url + "/v1", api_key="sk-direct")
    return through, direct


@pytest.mark.parametrize("responses", [False, True])
@pytest.mark.parametrize("stream", [False, True])
def test_langchain_chat(tenant, responses, stream):
    def ask(**where):
        model = ChatOpenAI(model="gpt-4o", max_retries=0, use_responses_api=responses, **where)
        question = "Hello [[mock tokens=9 fixed=1]]"
        got = list(model.stream(question)) if stream else [model.invoke(question)]
        # A run has an id of its own.
        return [(chunk.content, chunk.usage_metadata) for chunk in got]

    through, direct = both(tenant, ask)
    assert through == direct
    if stream and not responses:
        assert all(usage is None for _, usage in through), "LangChain does not ask for usage, and gets none"
    assert tenant.mock.log()[0]["include_usage"] is False


def test_langchain_tools_and_structured_output(tenant):
    model = ChatOpenAI(model="gpt-4o", max_retries=0, base_url=tenant.base, api_key=tenant.key)
    schema = {
        "title": "Answer", "description": "An answer", "type": "object",
        "properties": {"count": {"type": "integer"}}, "required": ["count"]}
    assert model.with_structured_output(schema, method="json_schema").invoke("x") == {"count": 7}
    assert model.bind_tools([schema]).invoke("please call it [[mock tokens=1]]").tool_calls
    tenant.check(2)


@pytest.mark.parametrize("stream", [False, True])
def test_langchain_legacy_completions(tenant, stream):
    def ask(**where):
        model = OpenAI(model="gpt-3.5-turbo-instruct-0914", max_retries=0, max_tokens=20, **where)
        question = "Hello [[mock tokens=9 fixed=1]]"
        return list(model.stream(question)) if stream else [model.invoke(question)]

    through, direct = both(tenant, ask)
    assert through == direct


def test_langchain_embeddings(tenant):
    def ask(**where):
        # Without its own splitting, for which it would fetch a vocabulary from the internet.
        model = OpenAIEmbeddings(model="text-embedding-3-small", check_embedding_ctx_length=False, **where)
        return model.embed_documents(["One", "Two and three"])

    through, direct = both(tenant, ask)
    assert through == direct


@pytest.mark.parametrize("model", [OpenAIChatCompletionsModel, OpenAIResponsesModel])
@pytest.mark.parametrize("stream", [False, True])
def test_openai_agents(tenant, model, stream):
    async def run(**where):
        async with openai.AsyncOpenAI(max_retries=0, **where) as client:
            agent = agents.Agent(name="Mocked", instructions="Be brief", model=model("gpt-4o", openai_client=client))
            question = "Hello [[mock tokens=9 fixed=1]]"
            if not stream:
                return [(await agents.Runner.run(agent, question)).final_output]
            result = agents.Runner.run_streamed(agent, question)
            seen = [event.data.type async for event in result.stream_events() if event.type == "raw_response_event"]
            return [*seen, result.final_output]

    through, direct = both(tenant, lambda **where: asyncio.run(run(**where)))
    assert through == direct and through[-1]


def test_an_agent_with_a_function_pays_for_each_turn(tenant):
    @agents.function_tool
    def weather(city: str) -> str:
        """The weather of a city."""
        return f"Sunny in {city}"

    async def run():
        async with openai.AsyncOpenAI(max_retries=0, base_url=tenant.base, api_key=tenant.key) as client:
            agent = agents.Agent(
                name="Mocked", model=OpenAIResponsesModel("gpt-4o", openai_client=client), tools=[weather])
            return await agents.Runner.run(agent, "please call it")

    result = asyncio.run(run())
    types = [item.type for item in result.new_items]
    assert types == ["tool_call_item", "tool_call_output_item", "message_output_item"]
    rows = tenant.check(2)
    assert result.context_wrapper.usage.total_tokens == sum(row["input"] + row["output"] for row in rows)
    assert differences(CARD, tenant.served(), rows) == []
