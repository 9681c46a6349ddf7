// The AI SDK, `ai`, with the providers `@ai-sdk/openai` over both of OpenAI's APIs, `@ai-sdk/anthropic`, `@ai-sdk/google`
// and `@openrouter/ai-sdk-provider`. CLIENT chooses one of the five.

import assert from 'node:assert/strict';
import { createAnthropic } from '@ai-sdk/anthropic';
import { createGoogleGenerativeAI } from '@ai-sdk/google';
import { createOpenAI } from '@ai-sdk/openai';
import { createOpenRouter } from '@openrouter/ai-sdk-provider';
import { APICallError, embedMany, generateText, Output, stepCountIs, streamText, tool } from 'ai';
import { z } from 'zod';
import * as t from './common.mjs';

// It tells what a model is not known to do.
globalThis.AI_SDK_LOG_WARNINGS = false;

const Weather = z.object({ city: z.string(), degrees: z.int(), words: z.array(z.string()) });

// The provider as each package makes it.
function provider(apiKey = t.KEY) {
  switch (t.CLIENT) {
    case 'openai':
    case 'openai-responses':
      return createOpenAI({ baseURL: `${t.BASE_URL}/v1`, apiKey });
    case 'anthropic':
      return createAnthropic({ baseURL: `${t.BASE_URL}/v1`, apiKey });
    case 'google':
      return createGoogleGenerativeAI({ baseURL: `${t.BASE_URL}/v1beta`, apiKey });
    default:
      return createOpenRouter({ baseURL: `${t.BASE_URL}/api/v1`, apiKey, compatibility: 'strict' });
  }
}

function make(name, apiKey) {
  const made = provider(apiKey);
  if (t.CLIENT === 'openai') return made.chat(name);
  if (t.CLIENT === 'openai-responses') return made.responses(name);
  return t.CLIENT === 'openrouter' ? made.chat(name, { usage: { include: true } }) : made(name);
}

const settings = (model, more) => ({ model: make(model), maxRetries: 0, ...more });
const generate = (model, more) => generateText(settings(model, more));

// A stream that is read to its end, as far as a caller of `generateText` would know of it.
async function streamed(model, more) {
  let failure;
  const result = streamText(settings(model, { onError: ({ error }) => (failure = error), ...more }));
  let chunks = 0;
  let heard = '';
  for await (const part of result.textStream) {
    chunks += 1;
    heard += part;
  }
  if (failure) throw failure;
  return {
    chunks,
    text: await result.text,
    heard,
    steps: await result.steps,
    output: more.output ? await result.output : undefined,
    totalUsage: await result.totalUsage,
  };
}

function used({ totalUsage: usage }) {
  assert.equal(usage.totalTokens, usage.inputTokens + usage.outputTokens);
  return [usage.inputTokens, usage.outputTokens];
}

const tools = (names) =>
  Object.fromEntries(
    names.map((name) => [
      name,
      tool({
        description: t.TOOLS[name].description,
        inputSchema: z.object({ city: z.string().describe('A city') }),
        execute: async ({ city }) => {
          assert.equal(typeof city, 'string');
          return t.TOOLS[name].result;
        },
      }),
    ]),
  );

// A question whose answer needs these tools, which the SDK calls by itself: what the steps came to.
async function called(ask, model, prompt, names, more) {
  const answer = await ask(model, { prompt, tools: tools(names), stopWhen: stepCountIs(3), ...more });
  assert.equal(answer.steps.length, 2);
  assert.deepEqual(answer.steps[0].toolCalls.map((call) => call.toolName), names);
  for (const name of names) t.contains(answer.text, t.TOOLS[name].result);
  return answer;
}

const picture = () => ({
  messages: [
    {
      role: 'user',
      content: [
        { type: 'text', text: 'What is this?' },
        { type: 'file', data: t.PNG, mediaType: 'image/png' },
      ],
    },
  ],
});

// A model that is asked to think and to show it.
function thoughts(model) {
  switch (t.CLIENT) {
    case 'openai':
      return { reasoning: 'low' };
    case 'openai-responses': {
      const openai = { reasoningSummary: 'auto', store: false, include: ['reasoning.encrypted_content'] };
      return { providerOptions: { openai: { reasoningEffort: 'low', forceReasoning: true, ...openai } } };
    }
    case 'anthropic':
      return t.ADAPTIVE.includes(model)
        ? { providerOptions: { anthropic: { thinking: { type: 'adaptive', display: 'summarized' } } } }
        : { providerOptions: { anthropic: { thinking: { type: 'enabled', budgetTokens: 2048 } } } };
    case 'google':
      return t.ADAPTIVE.includes(model)
        ? { providerOptions: { google: { thinkingConfig: { includeThoughts: true, thinkingLevel: 'low' } } } }
        : { providerOptions: { google: { thinkingConfig: { includeThoughts: true, thinkingBudget: 2048 } } } };
    default:
      return { providerOptions: { openrouter: { reasoning: { effort: 'low' } } } };
  }
}

async function thinkingWith(ask, model) {
  const answer = await called(ask, model, t.ASK_WEATHER, ['get_weather'], thoughts(model));
  // `@ai-sdk/openai` has no place for them in Chat Completions, and takes summaries alone in Responses, where DeepSeek
  // gives its thoughts as they are.
  const blind = t.CLIENT === 'openai' || (t.CLIENT === 'openai-responses' && model.startsWith('deepseek'));
  assert.ok(blind || answer.steps[0].reasoningText, JSON.stringify(answer.steps[0].content));
  return used(answer);
}

const failing = (status) => (error) => APICallError.isInstance(error) && error.statusCode === status;

const cases = {
  async plain(model) {
    const answer = await generate(model, { prompt: t.HELLO });
    t.contains(answer.text, t.HELLO);
    assert.equal(answer.finishReason, 'stop');
    return used(answer);
  },
  async stream(model) {
    const answer = await streamed(model, { prompt: t.HELLO });
    t.contains(answer.heard, t.HELLO);
    assert.ok(answer.chunks > 1, 'one chunk is no stream');
    return used(answer);
  },
  tools: async (model) => used(await called(generate, model, t.ASK_WEATHER, ['get_weather'])),
  toolsStream: async (model) => used(await called(streamed, model, t.ASK_WEATHER, ['get_weather'])),
  parallelTools: async (model) => used(await called(generate, model, t.ASK_BOTH, ['get_weather', 'get_time'])),
  async structured(model) {
    const answer = await generate(model, { prompt: t.ASK_WEATHER, output: Output.object({ schema: Weather }) });
    Weather.parse(answer.output);
    return used(answer);
  },
  async structuredStream(model) {
    const answer = await streamed(model, { prompt: t.ASK_WEATHER, output: Output.object({ schema: Weather }) });
    Weather.parse(answer.output);
    return used(answer);
  },
  async image(model) {
    const answer = await generate(model, picture());
    t.contains(answer.text, t.SEES);
    return used(answer);
  },
  async imageRefused(model) {
    await t.raises(() => generate(model, picture()), failing(400));
  },
  thinking: (model) => thinkingWith(generate, model),
  thinkingStream: (model) => thinkingWith(streamed, model),
  async badKey(model) {
    const call = () => generateText({ model: make(model, t.BAD_KEY), maxRetries: 0, prompt: t.HELLO });
    await t.raises(call, failing(401));
  },
  async unknownModel(model) {
    await t.raises(() => generate(`${model}-${t.UNKNOWN_MODEL}`, { prompt: t.HELLO }), failing(404));
  },
  async badRequest(model) {
    await t.raises(() => generate(model, { prompt: t.BAD_REQUEST }), failing(400));
  },
  async rateLimit(model) {
    const error = await t.raises(() => generate(model, { prompt: t.RATE_LIMIT }), failing(429));
    assert.equal(error.responseHeaders['retry-after'], '7');
    assert.ok(error.isRetryable);
  },
  async serverError(model) {
    const test = (error) => APICallError.isInstance(error) && error.statusCode >= 500;
    await t.raises(() => generate(model, { prompt: t.SERVER_ERROR }), test);
  },
  async cancel(model) {
    const stop = new AbortController();
    const result = streamText(settings(model, { prompt: t.SLOW, abortSignal: stop.signal }));
    for await (const _ of result.textStream) {
      stop.abort();
    }
    return 'cancelled';
  },
};

async function embeddings(model) {
  const made = provider();
  const answer = await embedMany({
    model: t.CLIENT === 'openrouter' ? made.textEmbeddingModel(model) : made.embedding(model),
    values: ['one text', 'another'],
    maxRetries: 0,
  });
  assert.equal(answer.embeddings.length, 2);
  // The provider for Google does not say what was used.
  return t.CLIENT === 'google' ? 'unknown' : [answer.usage.tokens, 0];
}

await t.run([...t.all(cases), ['embeddings', t.CLIENT === 'anthropic' ? [] : t.EMBEDDING, embeddings]]);
