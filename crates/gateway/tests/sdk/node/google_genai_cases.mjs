// The SDK `@google/genai`: generateContent, token counts, embeddings, models.

import assert from 'node:assert/strict';
import { ApiError, GoogleGenAI } from '@google/genai';
import { z } from 'zod';
import * as t from './common.mjs';

const make = (apiKey) => new GoogleGenAI({ apiKey, httpOptions: { baseUrl: t.BASE_URL } });
const client = make(t.KEY);
const Weather = z.strictObject({ city: z.string(), degrees: z.int(), words: z.array(z.string()) });

const user = (text) => ({ role: 'user', parts: [{ text }] });
const toolsNamed = (names) => [
  {
    functionDeclarations: names.map((name) => ({
      name,
      description: t.TOOLS[name].description,
      parametersJsonSchema: t.WEATHER_SCHEMA,
    })),
  },
];

function used({ usageMetadata: usage }) {
  const prompt = usage.promptTokenCount + (usage.toolUsePromptTokenCount ?? 0);
  const output = (usage.candidatesTokenCount ?? 0) + (usage.thoughtsTokenCount ?? 0);
  assert.equal(usage.totalTokenCount, prompt + output);
  return [prompt, output];
}

async function create(model, contents, config) {
  const answer = await client.models.generateContent({ model, contents, config });
  return { parts: answer.candidates[0].content.parts, usage: used(answer), answer };
}

async function streamed(model, contents, config) {
  const parts = [];
  let last;
  for await (const chunk of await client.models.generateContentStream({ model, contents, config })) {
    parts.push(...(chunk.candidates[0].content?.parts ?? []));
    last = chunk;
  }
  return { parts, usage: used(last), answer: last };
}

const text = ({ parts }) => parts.map((part) => (part.thought ? '' : (part.text ?? ''))).join('');
const calls = ({ parts }) => parts.flatMap((part) => part.functionCall ?? []);

// What the tools say to the calls of an answer.
function results(answer) {
  const parts = calls(answer).map(({ id, name, args }) => {
    assert.equal(typeof args.city, 'string');
    return { functionResponse: { id, name, response: { result: t.TOOLS[name].result } } };
  });
  return { role: 'user', parts };
}

// A question whose answer needs these tools: the answer that calls them, the usage of both requests.
async function called(ask, model, question, names, more) {
  const config = { tools: toolsNamed(names), ...more };
  const first = await ask(model, [user(question)], config);
  assert.deepEqual(calls(first).map((call) => call.name), names);
  const history = [user(question), { role: 'model', parts: first.parts }, results(first)];
  const second = await ask(model, history, config);
  for (const name of names) t.contains(text(second), t.TOOLS[name].result);
  return [first, t.total(first.usage, second.usage)];
}

const picture = () => [
  { inlineData: { data: t.PNG_BASE64, mimeType: 'image/png' } },
  { text: 'What is this?' },
];

async function structuredWith(ask, model) {
  const config = { responseMimeType: 'application/json', responseJsonSchema: z.toJSONSchema(Weather) };
  const answer = await ask(model, t.ASK_WEATHER, config);
  Weather.parse(JSON.parse(text(answer)));
  return answer.usage;
}

async function thinkingWith(ask, model) {
  const budget = ['gemini-2.5-flash', 'claude-sonnet-4-5'].includes(model);
  const how = budget ? { thinkingBudget: 2048 } : { thinkingLevel: 'LOW' };
  const more = { thinkingConfig: { includeThoughts: true, ...how } };
  const [first, usage] = await called(ask, model, t.ASK_WEATHER, ['get_weather'], more);
  assert.ok(first.parts[0].thought && first.parts[0].text, JSON.stringify(first.parts));
  return usage;
}

const failing = (status) => (error) => error instanceof ApiError && error.status === status;

const cases = {
  async plain(model) {
    const { answer, usage } = await create(model, t.HELLO);
    t.contains(answer.text, t.HELLO);
    assert.equal(answer.candidates[0].finishReason, 'STOP');
    return usage;
  },
  async stream(model) {
    const answer = await streamed(model, t.HELLO);
    t.contains(text(answer), t.HELLO);
    assert.equal(answer.answer.candidates[0].finishReason, 'STOP');
    return answer.usage;
  },
  tools: async (model) => (await called(create, model, t.ASK_WEATHER, ['get_weather']))[1],
  toolsStream: async (model) => (await called(streamed, model, t.ASK_WEATHER, ['get_weather']))[1],
  parallelTools: async (model) => (await called(create, model, t.ASK_BOTH, ['get_weather', 'get_time']))[1],
  structured: (model) => structuredWith(create, model),
  structuredStream: (model) => structuredWith(streamed, model),
  async image(model) {
    const { answer, usage } = await create(model, picture());
    t.contains(answer.text, t.SEES);
    return usage;
  },
  async imageRefused(model) {
    await t.raises(() => create(model, picture()), failing(400));
  },
  thinking: (model) => thinkingWith(create, model),
  thinkingStream: (model) => thinkingWith(streamed, model),
  async badKey(model) {
    const call = () => make(t.BAD_KEY).models.generateContent({ model, contents: t.HELLO });
    await t.raises(call, (error) => failing(401)(error) || failing(400)(error));
  },
  async unknownModel(model) {
    await t.raises(() => create(`${model}-${t.UNKNOWN_MODEL}`, t.HELLO), failing(404));
  },
  async badRequest(model) {
    const nonsense = { role: 'nobody', parts: [{ text: t.HELLO }] };
    await t.raises(() => create(model, [nonsense]), failing(400));
  },
  async rateLimit(model) {
    const error = await t.raises(() => create(model, t.RATE_LIMIT), failing(429));
    t.contains(error.message, 'RESOURCE_EXHAUSTED');
  },
  async serverError(model) {
    const test = (error) => error instanceof ApiError && error.status >= 500;
    await t.raises(() => create(model, t.SERVER_ERROR), test);
  },
  async cancel(model) {
    const stop = new AbortController();
    const config = { abortSignal: stop.signal };
    const events = await client.models.generateContentStream({ model, contents: t.SLOW, config });
    await events.next();
    stop.abort();
    return 'cancelled';
  },
};

async function countTokens(model) {
  const counted = (await client.models.countTokens({ model, contents: t.HELLO })).totalTokens;
  const { usage } = await create(model, t.HELLO);
  // DeepSeek does not count, so that for its model it is an estimate.
  if (!model.startsWith('deepseek')) assert.equal(counted, usage[0]);
  assert.ok(counted > 0);
  return usage;
}

async function embeddings(model) {
  const answer = await client.models.embedContent({ model, contents: ['one text', 'another'] });
  assert.equal(answer.embeddings.length, 2);
  // The SDK does not say what was used.
  return 'unknown';
}

async function models() {
  const listed = new Set();
  for await (const model of await client.models.list({ config: { pageSize: 50 } })) listed.add(model.name);
  assert.deepEqual(t.MODELS.filter((model) => !listed.has(`models/${model}`)), []);
}

await t.run([
  ...t.all(cases),
  ['count_tokens', t.MODELS, countTokens],
  ['embeddings', t.EMBEDDING, embeddings],
  ['models', ['all'], models],
]);
