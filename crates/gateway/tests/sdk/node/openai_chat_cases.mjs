// The SDK `openai`: Chat Completions, embeddings, models.

import assert from 'node:assert/strict';
import OpenAI from 'openai';
import { zodResponseFormat } from 'openai/helpers/zod';
import { z } from 'zod';
import * as t from './common.mjs';

const client = new OpenAI({ baseURL: `${t.BASE_URL}/v1`, apiKey: t.KEY, maxRetries: 0 });
const chat = client.chat.completions;
const Weather = z.object({ city: z.string(), degrees: z.int(), words: z.array(z.string()) });

const toolsNamed = (names) =>
  names.map((name) => ({
    type: 'function',
    function: { name, description: t.TOOLS[name].description, parameters: t.WEATHER_SCHEMA, strict: true },
  }));
const user = (content) => ({ role: 'user', content });

function used({ usage }) {
  assert.equal(usage.total_tokens, usage.prompt_tokens + usage.completion_tokens);
  return [usage.prompt_tokens, usage.completion_tokens];
}

const create = (model, messages, more) => chat.create({ model, messages, ...more });
const streamed = (model, messages, more) =>
  chat.stream({ model, messages, stream_options: { include_usage: true }, ...more }).finalChatCompletion();

// What the tools say to the calls of a message.
function results(message) {
  return message.tool_calls.map((call) => {
    assert.equal(typeof JSON.parse(call.function.arguments).city, 'string');
    return { role: 'tool', tool_call_id: call.id, content: t.TOOLS[call.function.name].result };
  });
}

// A question whose answer needs these tools: the message that calls them, the last one, the usage of both.
async function called(ask, model, question, names, more) {
  const settings = { tools: toolsNamed(names), ...more };
  const first = await ask(model, [user(question)], settings);
  const message = first.choices[0].message;
  assert.equal(first.choices[0].finish_reason, 'tool_calls');
  assert.deepEqual(message.tool_calls.map((call) => call.function.name), names);
  const second = await ask(model, [user(question), message, ...results(message)], settings);
  return [message, second.choices[0].message, t.total(used(first), used(second))];
}

const picture = () => [
  user([
    { type: 'text', text: 'What is this?' },
    { type: 'image_url', image_url: { url: `data:image/png;base64,${t.PNG_BASE64}` } },
  ]),
];
const format = { response_format: zodResponseFormat(Weather, 'weather') };

const cases = {
  async plain(model) {
    const answer = await create(model, [user(t.HELLO)]);
    t.contains(answer.choices[0].message.content, t.HELLO);
    return used(answer);
  },
  async stream(model) {
    let text = '';
    let usage;
    const more = { stream: true, stream_options: { include_usage: true } };
    for await (const chunk of await create(model, [user(t.HELLO)], more)) {
      text += chunk.choices[0]?.delta.content ?? '';
      if (chunk.usage) usage = used(chunk);
    }
    t.contains(text, t.HELLO);
    return usage;
  },
  async tools(model) {
    const [, answer, usage] = await called(create, model, t.ASK_WEATHER, ['get_weather']);
    t.contains(answer.content, t.WEATHER);
    return usage;
  },
  async toolsStream(model) {
    const [, answer, usage] = await called(streamed, model, t.ASK_WEATHER, ['get_weather']);
    t.contains(answer.content, t.WEATHER);
    return usage;
  },
  async parallelTools(model) {
    const [message, answer, usage] = await called(create, model, t.ASK_BOTH, ['get_weather', 'get_time']);
    assert.equal(new Set(message.tool_calls.map((call) => call.id)).size, 2);
    t.contains(answer.content, t.WEATHER);
    t.contains(answer.content, t.TIME);
    return usage;
  },
  async structured(model) {
    const answer = await chat.parse({ model, messages: [user(t.ASK_WEATHER)], ...format });
    Weather.parse(answer.choices[0].message.parsed);
    return used(answer);
  },
  async structuredStream(model) {
    const answer = await streamed(model, [user(t.ASK_WEATHER)], format);
    Weather.parse(answer.choices[0].message.parsed);
    return used(answer);
  },
  async image(model) {
    const answer = await create(model, picture());
    t.contains(answer.choices[0].message.content, t.SEES);
    return used(answer);
  },
  async imageRefused(model) {
    await t.raises(() => create(model, picture()), (error) => error instanceof OpenAI.BadRequestError);
  },
  async thinking(model) {
    const more = { reasoning_effort: 'low' };
    const [, answer, usage] = await called(create, model, t.ASK_WEATHER, ['get_weather'], more);
    t.contains(answer.content, t.WEATHER);
    return usage;
  },
  async thinkingStream(model) {
    const more = { reasoning_effort: 'low' };
    const [, answer, usage] = await called(streamed, model, t.ASK_WEATHER, ['get_weather'], more);
    t.contains(answer.content, t.WEATHER);
    return usage;
  },
  async badKey(model) {
    const other = client.withOptions({ apiKey: t.BAD_KEY });
    const call = () => other.chat.completions.create({ model, messages: [user(t.HELLO)] });
    const error = await t.raises(call, (error) => error instanceof OpenAI.AuthenticationError);
    assert.equal(error.code, 'invalid_api_key');
  },
  async unknownModel(model) {
    const call = () => create(`${model}-${t.UNKNOWN_MODEL}`, [user(t.HELLO)]);
    const error = await t.raises(call, (error) => error instanceof OpenAI.NotFoundError);
    assert.equal(error.code, 'model_not_found');
  },
  async badRequest(model) {
    const call = () => create(model, [{ role: 'nobody', content: t.HELLO }]);
    await t.raises(call, (error) => error instanceof OpenAI.BadRequestError);
  },
  async rateLimit(model) {
    const call = () => create(model, [user(t.RATE_LIMIT)]);
    const error = await t.raises(call, (error) => error instanceof OpenAI.RateLimitError);
    assert.equal(error.headers.get('retry-after'), '7');
  },
  async serverError(model) {
    const call = () => create(model, [user(t.SERVER_ERROR)]);
    const error = await t.raises(call, (error) => error instanceof OpenAI.InternalServerError);
    assert.ok(error.requestID);
  },
  async cancel(model) {
    for await (const chunk of await create(model, [user(t.SLOW)], { stream: true })) {
      if (chunk.choices[0]?.delta.content) break;
    }
    return 'cancelled';
  },
};

async function embeddings(model) {
  const answer = await client.embeddings.create({ model, input: ['one text', 'another'] });
  assert.equal(answer.data.length, 2);
  assert.ok(answer.data[1].embedding.every((number) => typeof number === 'number'));
  return [answer.usage.prompt_tokens, 0];
}

async function models() {
  const listed = new Set();
  for await (const model of client.models.list()) listed.add(model.id);
  assert.deepEqual(t.MODELS.filter((model) => !listed.has(model)), []);
}

await t.run([...t.all(cases), ['embeddings', t.EMBEDDING, embeddings], ['models', ['all'], models]]);
