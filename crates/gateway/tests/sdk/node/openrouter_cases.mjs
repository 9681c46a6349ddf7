// The SDK `@openrouter/sdk`: chat and Responses, with what they cost; embeddings, models; keys, credit, activity.

import assert from 'node:assert/strict';
import { OpenRouter } from '@openrouter/sdk';
import { tool } from '@openrouter/sdk/lib/tool.js';
import * as errors from '@openrouter/sdk/models/errors';
import { z } from 'zod';
import * as t from './common.mjs';

const make = (apiKey) =>
  new OpenRouter({ apiKey, serverURL: `${t.BASE_URL}/api/v1`, retryConfig: { strategy: 'none' } });
const client = make(t.KEY);
const manager = make(t.MANAGEMENT_KEY);
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

// Of an answer in Responses' form. The parts of the provider's price have other names there, and the SDK wants both.
function usedBy({ usage }) {
  assert.equal(usage.totalTokens, usage.inputTokens + usage.outputTokens);
  const { upstreamInferenceCost, upstreamInferenceInputCost, upstreamInferenceOutputCost } = usage.costDetails;
  const parts = t.pico(upstreamInferenceInputCost) + t.pico(upstreamInferenceOutputCost);
  assert.equal(parts, t.pico(upstreamInferenceCost));
  return [usage.inputTokens, usage.outputTokens, t.pico(usage.cost)];
}

// What the SDK has no schema for, or what does not fit, is no error: it comes as something unknown.
function understood(answer) {
  const text = JSON.stringify(answer);
  assert.ok(!text.includes('"isUnknown":true'), text);
  return answer;
}

const said = (answer) =>
  answer.output.flatMap((item) => item.content ?? []).map((part) => part.text ?? '').join('');

const request = (model, input, more) => ({ responsesRequest: { model: NAMES[model], input, ...more } });
const respond = async (model, input, more) => understood(await client.responses.send(request(model, input, more)));

// What the SDK wants a name in. OpenAI's own has none, and the item behind it tells the same.
const NAMELESS = 'response.function_call_arguments.done';

// The answer at the end of a stream, of which every event is one that the SDK knows.
async function respondInEvents(model, input, more) {
  const seen = new Set();
  let last;
  for await (const event of await client.responses.send(request(model, input, { stream: true, ...more }))) {
    if (event.raw?.type === NAMELESS) continue;
    seen.add(understood(event).type);
    last = event;
  }
  for (const type of ['response.created', 'response.in_progress']) assert.ok(seen.has(type), [...seen].join());
  assert.equal(last.type, 'response.completed');
  return last.response;
}

async function responses(model) {
  const answer = await respond(model, t.HELLO, { instructions: 'Be brief.' });
  t.contains(said(answer), t.HELLO);
  const { frequencyPenalty, presencePenalty, error, incompleteDetails, object, status } = answer;
  assert.deepEqual([frequencyPenalty, presencePenalty, error, incompleteDetails], [0, 0, null, null]);
  assert.deepEqual([object, status], ['response', 'completed']);
  // The older name of the same.
  const older = understood(await client.beta.responses.send(request(model, t.HELLO)));
  t.contains(said(older), t.HELLO);
  return t.total(usedBy(answer), usedBy(older));
}

async function responsesStream(model) {
  const answer = await respondInEvents(model, t.HELLO);
  t.contains(said(answer), t.HELLO);
  return usedBy(answer);
}

// Tools, and thoughts where the model has any: of both the answer and its request are made.
async function responsesTools(model) {
  const { description, result } = t.TOOLS.get_weather;
  const named = { type: 'function', name: 'get_weather', description, parameters: t.WEATHER_SCHEMA, strict: true };
  const think = { reasoning: { effort: 'low', summary: 'auto' }, include: ['reasoning.encrypted_content'] };
  const more = { tools: [named], ...(t.THINKING.includes(model) ? think : {}) };
  const usages = [];
  for (const ask of [respond, respondInEvents]) {
    const first = await ask(model, [user(t.ASK_WEATHER)], more);
    const [call, ...others] = first.output.filter((item) => item.type === 'function_call');
    assert.deepEqual([call.name, typeof JSON.parse(call.arguments).city, others], ['get_weather', 'string', []]);
    assert.equal(first.output.some((item) => item.type === 'reasoning'), t.THINKING.includes(model));
    const told = { type: 'function_call_output', callId: call.callId, output: result };
    const second = await ask(model, [user(t.ASK_WEATHER), ...first.output, told], more);
    t.contains(said(second), result);
    usages.push(usedBy(first), usedBy(second));
  }
  return t.total(...usages);
}

// The SDK's own loop, which is made of streams of Responses.
async function callModel(model) {
  const result = client.callModel({ model: NAMES[model], input: t.HELLO });
  t.contains(await result.getText(), t.HELLO);
  return usedBy(await result.getResponse());
}

async function callModelTools(model) {
  const getWeather = tool({
    name: 'get_weather',
    description: t.TOOLS.get_weather.description,
    inputSchema: z.object({ city: z.string() }),
    execute: async () => t.WEATHER,
  });
  const result = client.callModel({ model: NAMES[model], input: t.ASK_WEATHER, tools: [getWeather] });
  t.contains(await result.getText(), t.WEATHER);
  // It tells the usage of the last request alone.
  usedBy(await result.getResponse());
  return 'unknown';
}

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

async function modelsOfKey() {
  const { data } = await client.models.count();
  const { data: one } = await client.models.get({ author: 'openai', slug: 'gpt-4o' });
  assert.deepEqual([one.id, one.architecture.outputModalities], ['openai/gpt-4o', ['text']]);
  let count = 0;
  for await (const page of await client.models.listForUser({ bearer: t.KEY })) count += page.result.data.length;
  assert.equal(count, data.count);
  const wish = { name: 'narrow', limit: 1 };
  const narrow = await manager.apiKeys.create({ requestBody: wish });
  assert.equal((await make(narrow.key).models.listForUser({ bearer: narrow.key })).result.data.length, count);
  for await (const page of await client.embeddings.listModels()) {
    const ids = page.result.data.map((model) => model.id);
    assert.ok(ids.includes('openai/text-embedding-3-small') && !ids.includes('openai/gpt-4o'), ids.join());
  }
}

async function endpoints() {
  const { data } = await client.endpoints.list({ author: 'anthropic', slug: 'claude-sonnet-4.5' });
  const [{ providerName, pricing, status, supportsToolChoice }] = data.endpoints;
  assert.deepEqual([data.id, providerName, status, supportsToolChoice.auto], ['anthropic/claude-sonnet-4-5', 'Anthropic', 0, true]);
  // 3 and 15 dollars a million, and 5 %.
  assert.deepEqual([pricing.prompt, pricing.completion], ['0.00000315', '0.00001575']);
  const unknown = client.endpoints.list({ author: 'openai', slug: 'gpt-none' });
  await assert.rejects(unknown, errors.NotFoundResponseError);
}

async function providers() {
  const { data } = await client.providers.list();
  assert.deepEqual(data.map((one) => one.slug), ['openai', 'gemini', 'anthropic', 'deepseek']);
}

// A key of its own asks, and is told what that cost.
async function currentKey() {
  const expiresAt = new Date('2099-01-31T00:00:00Z');
  const requestBody = { name: 'own', limit: 0.5, limitReset: 'daily', expiresAt };
  const { key } = await manager.apiKeys.create({ requestBody });
  const own = make(key);
  const answer = await own.chat.send({ chatRequest: { model: 'openai/gpt-4o', messages: [user(t.HELLO)] } });
  const { data } = await own.apiKeys.getCurrentKeyMetadata();
  const usage = used(answer);
  assert.equal(t.pico(data.usage), usage[2]);
  assert.equal(t.pico(data.limitRemaining), t.pico('0.5') - usage[2]);
  assert.deepEqual([data.limit, data.limitReset, data.usageDaily], [0.5, 'daily', data.usage]);
  assert.deepEqual([data.expiresAt, data.isManagementKey], [expiresAt, false]);
  const managing = (await manager.apiKeys.getCurrentKeyMetadata()).data;
  assert.deepEqual([managing.isManagementKey, managing.limit], [true, null]);
  return usage;
}

async function keys() {
  const { key, data } = await manager.apiKeys.create({ requestBody: { name: 'sdk', limit: 2, includeByokInLimit: true } });
  const { hash } = data;
  assert.deepEqual([data.name, data.limit, data.limitReset, data.disabled], ['sdk', 2, null, false]);
  const own = make(key);
  assert.equal((await own.apiKeys.getCurrentKeyMetadata()).data.label, data.label);
  const requestBody = { name: 'renamed', disabled: true, limit: 3, limitReset: 'monthly' };
  const { data: changed } = await manager.apiKeys.update({ hash, requestBody });
  assert.deepEqual([changed.name, changed.disabled, changed.limit, changed.limitReset], ['renamed', true, 3, 'monthly']);
  assert.deepEqual((await manager.apiKeys.get({ hash })).data, changed);
  await assert.rejects(own.apiKeys.getCurrentKeyMetadata(), errors.UnauthorizedResponseError);
  const listed = async (request) => (await manager.apiKeys.list(request)).data.some((one) => one.hash === hash);
  assert.deepEqual([await listed(), await listed({ includeDisabled: true })], [false, true]);
  assert.deepEqual((await manager.apiKeys.list({ offset: 1_000 })).data, []);
  assert.deepEqual(await manager.apiKeys.delete({ hash }), { deleted: true });
  await assert.rejects(manager.apiKeys.get({ hash }), errors.NotFoundResponseError);
  const wrong = manager.apiKeys.create({ requestBody: { name: 'x', limit: -1 } });
  await assert.rejects(wrong, errors.BadRequestResponseError);
  // Who manages does not ask, and who asks does not see the credit.
  const chatRequest = { model: 'openai/gpt-4o', messages: [user(t.HELLO)] };
  await assert.rejects(manager.chat.send({ chatRequest }), errors.ForbiddenResponseError);
  await assert.rejects(client.credits.getCredits(), errors.ForbiddenResponseError);
}

async function credits() {
  const before = (await manager.credits.getCredits()).data;
  const answer = await send('gpt-4o', [user(t.HELLO)]);
  const after = (await manager.credits.getCredits()).data;
  const usage = used(answer);
  assert.equal(t.pico(after.totalUsage) - t.pico(before.totalUsage), usage[2]);
  assert.deepEqual([before.totalCredits, after.totalCredits], [0, 0]);
  return usage;
}

async function activity() {
  const { data } = await make(t.PAST_KEY).analytics.getUserActivity();
  const [{ date, model, requests, promptTokens, completionTokens, usage, providerName }] = data;
  assert.deepEqual([data.length, model, providerName, requests], [1, 'openai/gpt-4o-mini', 'OpenAI', 1]);
  // The worked example.
  assert.deepEqual([promptTokens, completionTokens, usage], [1234, 567, 0.000551565]);
  assert.deepEqual((await make(t.PAST_KEY).analytics.getUserActivity({ date })).data, data);
  const wrong = make(t.PAST_KEY).analytics.getUserActivity({ date: '2020-01-01' });
  await assert.rejects(wrong, errors.BadRequestResponseError);
}

// As a program does it that has no key.
async function codes() {
  const { codeChallenge, codeVerifier } = await client.oAuth.createSHA256CodeChallenge();
  const requestBody = { callbackUrl: 'http://localhost:3000/', codeChallenge, codeChallengeMethod: 'S256', limit: 1 };
  const { data } = await manager.oAuth.createAuthCode({ requestBody });
  const bring = { requestBody: { code: data.id, codeVerifier, codeChallengeMethod: 'S256' } };
  const { key, userId } = await make('').oAuth.exchangeAuthCodeForAPIKey(bring);
  const told = (await make(key).apiKeys.getCurrentKeyMetadata()).data;
  assert.deepEqual([told.creatorUserId, told.limit], [userId, 1]);
  await assert.rejects(client.oAuth.exchangeAuthCodeForAPIKey(bring), errors.ForbiddenResponseError);
}

await t.run([
  ...t.all(cases),
  ['responses', t.MODELS, responses],
  ['responses_stream', t.MODELS, responsesStream],
  ['responses_tools', t.MODELS, responsesTools],
  ['call_model', t.MODELS, callModel],
  ['call_model_tools', t.MODELS, callModelTools],
  ['embeddings', t.EMBEDDING, embeddings],
  ['generation', t.MODELS, generation],
  ['models', ['all'], models],
  ['models_of_key', ['all'], modelsOfKey],
  ['endpoints', ['all'], endpoints],
  ['providers', ['all'], providers],
  ['current_key', ['all'], currentKey],
  ['keys', ['all'], keys],
  ['credits', ['all'], credits],
  ['activity', ['all'], activity],
  ['codes', ['all'], codes],
]);
