// The SDK `@openrouter/sdk`: chat, with what it cost; embeddings, models.

import assert from 'node:assert/strict';
import { OpenRouter } from '@openrouter/sdk';
import * as errors from '@openrouter/sdk/models/errors';
import { z } from 'zod';
import * as t from './common.mjs';

const make = (apiKey) =>
  new OpenRouter({ apiKey, serverURL: `${t.BASE_URL}/api/v1`, retryConfig: { strategy: 'none' } });
const client = make(t.KEY);
const Weather = z.strictObject({ city: z.string(), degrees: z.int(), words: z.array(z.string()) });

// As OpenRouter names them.
const NAMES = {
  'gpt-4o': 'openai/gpt-4o',
  'gpt-5-mini': 'openai/gpt-5-mini',
  'gpt-5.4': 'openai/gpt-5.4',
  'claude-sonnet-4-5': 'anthropic/claude-sonnet-4.5',
  'claude-opus-5-5': 'anthropic/claude-opus-5.5',
  'gemini-2.5-flash': 'google/gemini-2.5-flash',
  'gemini-3-flash-preview': 'google/gemini-3-flash-preview',
  'deepseek-v4-flash': 'deepseek/deepseek-v4-flash',
};

const toolsNamed = (names) =>
  names.map((name) => ({
    type: 'function',
    function: { name, description: t.TOOLS[name].description, parameters: t.WEATHER_SCHEMA },
  }));
const user = (content) => ({ role: 'user', content });

function used({ usage }) {
  assert.equal(usage.totalTokens, usage.promptTokens + usage.completionTokens);
  return [usage.promptTokens, usage.completionTokens, t.pico(usage.cost)];
}

const send = (model, messages, more) =>
  client.chat.send({ chatRequest: { model: NAMES[model], messages, ...more } });

async function create(model, messages, more) {
  const answer = await send(model, messages, more);
  return { message: answer.choices[0].message, usage: used(answer) };
}

// A stream's chunks, put together as a client does it.
async function streamed(model, messages, more) {
  const message = { role: 'assistant', content: '', reasoning: '', reasoningDetails: [], toolCalls: [] };
  let usage;
  for await (const chunk of await send(model, messages, { stream: true, ...more })) {
    assert.equal(chunk.error, undefined);
    if (chunk.usage) usage = used(chunk);
    for (const { delta } of chunk.choices) {
      message.content += delta.content ?? '';
      message.reasoning += delta.reasoning ?? '';
      message.reasoningDetails.push(...(delta.reasoningDetails ?? []));
      for (const part of delta.toolCalls ?? []) {
        const empty = { id: '', type: 'function', function: { name: '', arguments: '' } };
        const call = (message.toolCalls[part.index] ??= empty);
        call.id = part.id ?? call.id;
        call.function.name = part.function?.name ?? call.function.name;
        call.function.arguments += part.function?.arguments ?? '';
      }
    }
  }
  return { message, usage };
}

// What the tools say to the calls of a message.
function results(message) {
  return message.toolCalls.map((call) => {
    assert.equal(typeof JSON.parse(call.function.arguments).city, 'string');
    return { role: 'tool', toolCallId: call.id, content: t.TOOLS[call.function.name].result };
  });
}

// A question whose answer needs these tools: the message that calls them, the usage of both requests.
async function called(ask, model, question, names, more) {
  const settings = { tools: toolsNamed(names), ...more };
  const first = await ask(model, [user(question)], settings);
  assert.deepEqual(first.message.toolCalls.map((call) => call.function.name), names);
  const second = await ask(model, [user(question), first.message, ...results(first.message)], settings);
  for (const name of names) t.contains(second.message.content, t.TOOLS[name].result);
  return [first.message, t.total(first.usage, second.usage)];
}

const picture = () => [
  user([
    { type: 'text', text: 'What is this?' },
    { type: 'image_url', imageUrl: { url: `data:image/png;base64,${t.PNG_BASE64}` } },
  ]),
];
const format = {
  responseFormat: {
    type: 'json_schema',
    jsonSchema: { name: 'weather', schema: z.toJSONSchema(Weather), strict: true },
  },
};

async function structuredWith(ask, model) {
  const { message, usage } = await ask(model, [user(t.ASK_WEATHER)], format);
  Weather.parse(JSON.parse(message.content));
  return usage;
}

async function thinkingWith(ask, model) {
  const more = { reasoning: { effort: 'low' } };
  const [message, usage] = await called(ask, model, t.ASK_WEATHER, ['get_weather'], more);
  assert.ok(message.reasoning && message.reasoningDetails.length > 0, JSON.stringify(message));
  return usage;
}

const cases = {
  async plain(model) {
    const { message, usage } = await create(model, [user(t.HELLO)]);
    t.contains(message.content, t.HELLO);
    return usage;
  },
  async stream(model) {
    const { message, usage } = await streamed(model, [user(t.HELLO)]);
    t.contains(message.content, t.HELLO);
    return usage;
  },
  tools: async (model) => (await called(create, model, t.ASK_WEATHER, ['get_weather']))[1],
  toolsStream: async (model) => (await called(streamed, model, t.ASK_WEATHER, ['get_weather']))[1],
  parallelTools: async (model) => (await called(create, model, t.ASK_BOTH, ['get_weather', 'get_time']))[1],
  structured: (model) => structuredWith(create, model),
  structuredStream: (model) => structuredWith(streamed, model),
  async image(model) {
    const { message, usage } = await create(model, picture());
    t.contains(message.content, t.SEES);
    return usage;
  },
  async imageRefused(model) {
    await t.raises(() => create(model, picture()), (error) => error instanceof errors.BadRequestResponseError);
  },
  thinking: (model) => thinkingWith(create, model),
  thinkingStream: (model) => thinkingWith(streamed, model),
  async badKey(model) {
    const chatRequest = { model: NAMES[model], messages: [user(t.HELLO)] };
    const call = () => make(t.BAD_KEY).chat.send({ chatRequest });
    const error = await t.raises(call, (error) => error instanceof errors.UnauthorizedResponseError);
    assert.equal(error.error.code, 401);
  },
  async unknownModel(model) {
    const chatRequest = { model: `${NAMES[model]}-${t.UNKNOWN_MODEL}`, messages: [user(t.HELLO)] };
    const call = () => client.chat.send({ chatRequest });
    await t.raises(call, (error) => error instanceof errors.NotFoundResponseError);
  },
  async badRequest(model) {
    const call = () => create(model, [user(t.BAD_REQUEST)]);
    await t.raises(call, (error) => error instanceof errors.BadRequestResponseError);
  },
  async rateLimit(model) {
    const call = () => create(model, [user(t.RATE_LIMIT)]);
    const error = await t.raises(call, (error) => error instanceof errors.TooManyRequestsResponseError);
    assert.equal(error.headers.get('retry-after'), '7');
  },
  async serverError(model) {
    // It means that the provider failed, not the gateway.
    const call = () => create(model, [user(t.SERVER_ERROR)]);
    await t.raises(call, (error) => error instanceof errors.BadGatewayResponseError);
  },
  async cancel(model) {
    for await (const chunk of await send(model, [user(t.SLOW)], { stream: true })) {
      if (chunk.choices[0]?.delta.content) break;
    }
    return 'cancelled';
  },
};

async function embeddings(model) {
  const answer = await client.embeddings.generate({ requestBody: { model, input: ['one text', 'another'] } });
  assert.equal(answer.data.length, 2);
  assert.ok(answer.data[1].embedding.every((number) => typeof number === 'number'));
  return [answer.usage.promptTokens, 0];
}

async function models() {
  const listed = new Set();
  for await (const page of await client.models.list()) {
    for (const model of page.result.data) listed.add(model.id);
  }
  const ours = Object.entries(NAMES).map(([model, name]) => `${name.split('/')[0].replace('google', 'gemini')}/${model}`);
  assert.deepEqual(ours.filter((id) => !listed.has(id)), []);
}

async function generation(model) {
  const answer = await send(model, [user(t.HELLO)]);
  const { data } = await client.generations.getGeneration({ id: answer.id });
  assert.deepEqual([data.id, data.isByok, data.cancelled], [answer.id, false, false]);
  assert.equal(data.model.split('/')[1], model);
  const tokens = [data.tokensPrompt, data.tokensCompletion, t.pico(data.totalCost)];
  assert.deepEqual(tokens, used(answer));
  await assert.rejects(client.generations.getGeneration({ id: 'gen-0' }), errors.NotFoundResponseError);
  return tokens;
}

await t.run([
  ...t.all(cases),
  ['embeddings', t.EMBEDDING, embeddings],
  ['generation', t.MODELS, generation],
  ['models', ['all'], models],
]);
