// The SDK `openai`: Responses and its token counts.

import assert from 'node:assert/strict';
import OpenAI from 'openai';
import { zodTextFormat } from 'openai/helpers/zod';
import { z } from 'zod';
import * as t from './common.mjs';

const client = new OpenAI({ baseURL: `${t.BASE_URL}/v1`, apiKey: t.KEY, maxRetries: 0 });
const Weather = z.object({ city: z.string(), degrees: z.int(), words: z.array(z.string()) });
// Nothing is kept by the provider: what the next request needs comes back with the answer.
const THINK = {
  reasoning: { effort: 'low', summary: 'auto' },
  store: false,
  include: ['reasoning.encrypted_content'],
};

const toolsNamed = (names) =>
  names.map((name) => ({
    type: 'function',
    name,
    description: t.TOOLS[name].description,
    parameters: t.WEATHER_SCHEMA,
    strict: true,
  }));
const user = (content) => ({ role: 'user', content });

function used({ usage }) {
  assert.equal(usage.total_tokens, usage.input_tokens + usage.output_tokens);
  return [usage.input_tokens, usage.output_tokens];
}

const create = (model, input, more) => client.responses.create({ model, input, ...more });
const streamed = (model, input, more) => client.responses.stream({ model, input, ...more }).finalResponse();
const calls = (answer) => answer.output.filter((item) => item.type === 'function_call');

// What the tools say to the calls of an answer.
function results(answer) {
  return calls(answer).map((call) => {
    assert.equal(typeof JSON.parse(call.arguments).city, 'string');
    return { type: 'function_call_output', call_id: call.call_id, output: t.TOOLS[call.name].result };
  });
}

// What the helpers add to an answer is no part of the format.
function sent(item) {
  const { parsed_arguments, ...rest } = item;
  return rest;
}

// A question whose answer needs these tools: the answer that calls them, the last one, the usage of both.
async function called(ask, model, question, names, more) {
  const settings = { tools: toolsNamed(names), ...more };
  const first = await ask(model, [user(question)], settings);
  assert.deepEqual(calls(first).map((call) => call.name), names);
  const history = [user(question), ...first.output.map(sent), ...results(first)];
  const second = await ask(model, history, settings);
  return [first, second, t.total(used(first), used(second))];
}

const picture = () => [
  user([
    { type: 'input_text', text: 'What is this?' },
    { type: 'input_image', image_url: `data:image/png;base64,${t.PNG_BASE64}`, detail: 'auto' },
  ]),
];
const format = { text: { format: zodTextFormat(Weather, 'weather') } };

const cases = {
  async plain(model) {
    const answer = await create(model, t.HELLO, { instructions: 'Be brief.' });
    t.contains(answer.output_text, t.HELLO);
    return used(answer);
  },
  async stream(model) {
    let text = '';
    let final;
    for await (const event of await create(model, t.HELLO, { stream: true })) {
      if (event.type === 'response.output_text.delta') text += event.delta;
      if (event.type === 'response.completed') final = event.response;
    }
    t.contains(text, t.HELLO);
    return used(final);
  },
  async tools(model) {
    const [, answer, usage] = await called(create, model, t.ASK_WEATHER, ['get_weather']);
    t.contains(answer.output_text, t.WEATHER);
    return usage;
  },
  async toolsStream(model) {
    const [, answer, usage] = await called(streamed, model, t.ASK_WEATHER, ['get_weather']);
    t.contains(answer.output_text, t.WEATHER);
    return usage;
  },
  async parallelTools(model) {
    const [first, answer, usage] = await called(create, model, t.ASK_BOTH, ['get_weather', 'get_time']);
    assert.equal(new Set(calls(first).map((call) => call.call_id)).size, 2);
    t.contains(answer.output_text, t.WEATHER);
    t.contains(answer.output_text, t.TIME);
    return usage;
  },
  async structured(model) {
    const answer = await client.responses.parse({ model, input: t.ASK_WEATHER, ...format });
    Weather.parse(answer.output_parsed);
    return used(answer);
  },
  async structuredStream(model) {
    const answer = await streamed(model, t.ASK_WEATHER, format);
    Weather.parse(answer.output_parsed);
    return used(answer);
  },
  async image(model) {
    const answer = await create(model, picture());
    t.contains(answer.output_text, t.SEES);
    return used(answer);
  },
  async imageRefused(model) {
    await t.raises(() => create(model, picture()), (error) => error instanceof OpenAI.BadRequestError);
  },
  async thinking(model) {
    const [first, answer, usage] = await called(create, model, t.ASK_WEATHER, ['get_weather'], THINK);
    assert.equal(first.output[0].type, 'reasoning');
    t.contains(answer.output_text, t.WEATHER);
    return usage;
  },
  async thinkingStream(model) {
    const [first, answer, usage] = await called(streamed, model, t.ASK_WEATHER, ['get_weather'], THINK);
    assert.equal(first.output[0].type, 'reasoning');
    t.contains(answer.output_text, t.WEATHER);
    return usage;
  },
  async badKey(model) {
    const other = client.withOptions({ apiKey: t.BAD_KEY });
    const call = () => other.responses.create({ model, input: t.HELLO });
    await t.raises(call, (error) => error instanceof OpenAI.AuthenticationError);
  },
  async unknownModel(model) {
    const call = () => create(`${model}-${t.UNKNOWN_MODEL}`, t.HELLO);
    const error = await t.raises(call, (error) => error instanceof OpenAI.NotFoundError);
    assert.equal(error.code, 'model_not_found');
  },
  async badRequest(model) {
    const call = () => create(model, [{ role: 'nobody', content: t.HELLO }]);
    await t.raises(call, (error) => error instanceof OpenAI.BadRequestError);
  },
  async rateLimit(model) {
    const call = () => create(model, t.RATE_LIMIT);
    const error = await t.raises(call, (error) => error instanceof OpenAI.RateLimitError);
    assert.equal(error.headers.get('retry-after'), '7');
  },
  async serverError(model) {
    const call = () => create(model, t.SERVER_ERROR);
    await t.raises(call, (error) => error instanceof OpenAI.InternalServerError);
  },
  async cancel(model) {
    for await (const event of await create(model, t.SLOW, { stream: true })) {
      if (event.type === 'response.output_text.delta') break;
    }
    return 'cancelled';
  },
};

async function countTokens(model) {
  const counted = (await client.responses.inputTokens.count({ model, input: t.HELLO })).input_tokens;
  const answer = await create(model, t.HELLO);
  // DeepSeek does not count, so that for its model it is an estimate.
  if (!model.startsWith('deepseek')) assert.equal(counted, used(answer)[0]);
  assert.ok(counted > 0);
  return used(answer);
}

await t.run([...t.all(cases), ['count_tokens', t.MODELS, countTokens]]);
