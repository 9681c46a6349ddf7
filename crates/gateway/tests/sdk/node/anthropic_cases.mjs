// The SDK `@anthropic-ai/sdk`: Messages, token counts, models.

import assert from 'node:assert/strict';
import Anthropic from '@anthropic-ai/sdk';
import { zodOutputFormat } from '@anthropic-ai/sdk/helpers/zod';
import { z } from 'zod';
import * as t from './common.mjs';

// It tells which models will be retired.
process.removeAllListeners('warning');
console.warn = () => {};

const client = new Anthropic({ baseURL: t.BASE_URL, apiKey: t.KEY, maxRetries: 0 });
const Weather = z.object({ city: z.string(), degrees: z.int(), words: z.array(z.string()) });

const toolsNamed = (names) =>
  names.map((name) => ({ name, description: t.TOOLS[name].description, input_schema: t.WEATHER_SCHEMA }));
const user = (content) => ({ role: 'user', content });

function used({ usage }) {
  const cached = (usage.cache_read_input_tokens ?? 0) + (usage.cache_creation_input_tokens ?? 0);
  return [usage.input_tokens + cached, usage.output_tokens];
}

const create = (model, messages, more) => client.messages.create({ model, max_tokens: 8000, messages, ...more });
const streamed = (model, messages, more) =>
  client.messages.stream({ model, max_tokens: 8000, messages, ...more }).finalMessage();
const text = (answer) => answer.content.map((block) => (block.type === 'text' ? block.text : '')).join('');
const calls = (answer) => answer.content.filter((block) => block.type === 'tool_use');

// What the tools say to the calls of an answer.
function results(answer) {
  return user(
    calls(answer).map((call) => {
      assert.equal(typeof call.input.city, 'string');
      return { type: 'tool_result', tool_use_id: call.id, content: t.TOOLS[call.name].result };
    }),
  );
}

// A question whose answer needs these tools: the answer that calls them, the last one, the usage of both.
async function called(ask, model, question, names, more) {
  const settings = { tools: toolsNamed(names), ...more };
  const first = await ask(model, [user(question)], settings);
  assert.equal(first.stop_reason, 'tool_use');
  assert.deepEqual(calls(first).map((call) => call.name), names);
  const assistant = { role: 'assistant', content: first.content };
  const second = await ask(model, [user(question), assistant, results(first)], settings);
  return [first, second, t.total(used(first), used(second))];
}

const picture = () => [
  user([
    { type: 'image', source: { type: 'base64', media_type: 'image/png', data: t.PNG_BASE64 } },
    { type: 'text', text: 'What is this?' },
  ]),
];
const format = { output_config: { format: zodOutputFormat(Weather) } };
const thoughts = (model) =>
  t.ADAPTIVE.includes(model)
    ? { thinking: { type: 'adaptive', display: 'summarized' } }
    : { thinking: { type: 'enabled', budget_tokens: 2048 } };

async function thinkingWith(ask, model) {
  const [first, answer, usage] = await called(ask, model, t.ASK_WEATHER, ['get_weather'], thoughts(model));
  assert.equal(first.content[0].type, 'thinking');
  assert.ok(first.content[0].thinking);
  t.contains(text(answer), t.WEATHER);
  return usage;
}

const cases = {
  async plain(model) {
    const answer = await create(model, [user(t.HELLO)]);
    t.contains(text(answer), t.HELLO);
    assert.equal(answer.stop_reason, 'end_turn');
    return used(answer);
  },
  async stream(model) {
    let heard = '';
    const events = client.messages.stream({ model, max_tokens: 8000, messages: [user(t.HELLO)] });
    events.on('text', (part) => (heard += part));
    const answer = await events.finalMessage();
    t.contains(heard, t.HELLO);
    assert.equal(heard, text(answer));
    return used(answer);
  },
  async tools(model) {
    const [, answer, usage] = await called(create, model, t.ASK_WEATHER, ['get_weather']);
    t.contains(text(answer), t.WEATHER);
    return usage;
  },
  async toolsStream(model) {
    const [, answer, usage] = await called(streamed, model, t.ASK_WEATHER, ['get_weather']);
    t.contains(text(answer), t.WEATHER);
    return usage;
  },
  async parallelTools(model) {
    const [first, answer, usage] = await called(create, model, t.ASK_BOTH, ['get_weather', 'get_time']);
    assert.equal(new Set(calls(first).map((call) => call.id)).size, 2);
    t.contains(text(answer), t.WEATHER);
    t.contains(text(answer), t.TIME);
    return usage;
  },
  async structured(model) {
    const request = { model, max_tokens: 8000, messages: [user(t.ASK_WEATHER)], ...format };
    const answer = await client.messages.parse(request);
    Weather.parse(answer.parsed_output);
    return used(answer);
  },
  async structuredStream(model) {
    const answer = await streamed(model, [user(t.ASK_WEATHER)], format);
    Weather.parse(answer.parsed_output);
    return used(answer);
  },
  async image(model) {
    const answer = await create(model, picture());
    t.contains(text(answer), t.SEES);
    return used(answer);
  },
  async imageRefused(model) {
    await t.raises(() => create(model, picture()), (error) => error instanceof Anthropic.BadRequestError);
  },
  thinking: (model) => thinkingWith(create, model),
  thinkingStream: (model) => thinkingWith(streamed, model),
  async badKey(model) {
    const other = client.withOptions({ apiKey: t.BAD_KEY });
    const call = () => other.messages.create({ model, max_tokens: 10, messages: [user(t.HELLO)] });
    const error = await t.raises(call, (error) => error instanceof Anthropic.AuthenticationError);
    assert.equal(error.error.error.type, 'authentication_error');
  },
  async unknownModel(model) {
    const call = () => create(`${model}-${t.UNKNOWN_MODEL}`, [user(t.HELLO)]);
    await t.raises(call, (error) => error instanceof Anthropic.NotFoundError);
  },
  async badRequest(model) {
    const call = () => create(model, [{ role: 'nobody', content: t.HELLO }]);
    const error = await t.raises(call, (error) => error instanceof Anthropic.BadRequestError);
    assert.equal(error.error.error.type, 'invalid_request_error');
  },
  async rateLimit(model) {
    const call = () => create(model, [user(t.RATE_LIMIT)]);
    const error = await t.raises(call, (error) => error instanceof Anthropic.RateLimitError);
    assert.equal(error.headers.get('retry-after'), '7');
  },
  async serverError(model) {
    const call = () => create(model, [user(t.SERVER_ERROR)]);
    const error = await t.raises(call, (error) => error instanceof Anthropic.InternalServerError);
    assert.ok(error.requestID);
  },
  async cancel(model) {
    for await (const event of await create(model, [user(t.SLOW)], { stream: true })) {
      if (event.type === 'content_block_delta') break;
    }
    return 'cancelled';
  },
};

async function countTokens(model) {
  const messages = [user(t.HELLO)];
  const counted = (await client.messages.countTokens({ model, messages })).input_tokens;
  const answer = await create(model, messages);
  // DeepSeek does not count, so that for its model it is an estimate.
  if (!model.startsWith('deepseek')) assert.equal(counted, used(answer)[0]);
  assert.ok(counted > 0);
  return used(answer);
}

async function models() {
  const listed = [];
  // The pages are fetched one after the other.
  for await (const model of client.models.list({ limit: 50 })) listed.push(model.id);
  assert.deepEqual(t.MODELS.filter((model) => !listed.includes(model)), []);
  assert.equal(new Set(listed).size, listed.length);
}

await t.run([...t.all(cases), ['count_tokens', t.MODELS, countTokens], ['models', ['all'], models]]);
