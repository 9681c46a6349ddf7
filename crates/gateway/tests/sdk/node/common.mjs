// What the scripts have in common: the models, the words of the cases, the bill, and one line of JSON for each case.
//
// A case is a function of a model. It uses the SDK as its documentation shows, checks what comes back, and returns the
// tokens [input, output] that the SDK says were used. They have to be what the bill grew by.

import assert from 'node:assert/strict';
import { crc32, deflateSync } from 'node:zlib';

export const { BASE_URL, KEY, MANAGEMENT_KEY, PAST_KEY, USER_NAME, CLIENT } = process.env;

// Of each provider an older and a newer one, which are asked in different ways.
export const MODELS = [
  'gpt-4o',
  'gpt-5-mini',
  'gpt-5.4',
  'claude-sonnet-4-5',
  'claude-opus-5-5',
  'gemini-2.5-flash',
  'gemini-3-flash-preview',
  'deepseek-v4-flash',
];
// gpt-4o does not think.
export const THINKING = MODELS.filter((model) => model !== 'gpt-4o');
// DeepSeek's model does not see: an image has to be refused, not dropped.
export const SEEING = MODELS.filter((model) => !model.startsWith('deepseek'));
export const BLIND = MODELS.filter((model) => model.startsWith('deepseek'));
// Those of OpenAI and Gemini make vectors.
export const EMBEDDING = ['text-embedding-3-small', 'gemini-embedding-001'];
// The newer way to ask for thoughts, where the model's own API has it.
export const ADAPTIVE = ['claude-opus-5-5', 'gpt-5.4', 'gemini-3-flash-preview'];

export const UNKNOWN_MODEL = 'no-such-model';
export const BAD_KEY = 'tg-000000000000000000000000000000000000';

export const HELLO = 'Hello there';
export const ASK_WEATHER = 'What is the weather in Paris?';
export const ASK_BOTH = 'What are both the weather and the time in Paris?';
export const WEATHER = '18 degrees and sunny';
export const TIME = 'a quarter past nine';
export const BAD_REQUEST = 'fault:status:400';
export const RATE_LIMIT = 'fault:429:7';
export const SERVER_ERROR = 'fault:status:500';
export const SLOW = 'fault:slow:30';

export const WEATHER_SCHEMA = {
  type: 'object',
  properties: { city: { type: 'string', description: 'A city' } },
  required: ['city'],
  additionalProperties: false,
};
export const TOOLS = {
  get_weather: { description: 'The weather in a city', result: WEATHER },
  get_time: { description: 'The time in a city', result: TIME },
};

// A small white picture.
function png(width = 2, height = 2) {
  const number = (value) => {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32BE(value);
    return bytes;
  };
  const chunk = (kind, data) => {
    const body = Buffer.concat([Buffer.from(kind), data]);
    return Buffer.concat([number(data.length), body, number(crc32(body))]);
  };
  const header = Buffer.concat([number(width), number(height), Buffer.from([8, 2, 0, 0, 0])]);
  const row = Buffer.concat([Buffer.from([0]), Buffer.alloc(3 * width, 255)]);
  const rows = Buffer.concat(Array.from({ length: height }, () => row));
  const start = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  return Buffer.concat([start, chunk('IHDR', header), chunk('IDAT', deflateSync(rows)), chunk('IEND', Buffer.alloc(0))]);
}

export const PNG = png();
export const PNG_BASE64 = PNG.toString('base64');
export const SEES = `image (image/png, ${PNG.length} bytes)`;

// `priceToPay` as it stands.
async function bill() {
  const headers = { user: USER_NAME, 'api-key': KEY };
  const response = await fetch(`${BASE_URL}/api/usage/check`, { headers });
  assert.equal(response.status, 200);
  const price = (await response.json()).priceToPay;
  return [price.total_input_tokens, price.total_output_tokens, pico(price.exact.final_price)];
}

// An amount in dollars as whole pico-dollars. A number has no more digits than an amount needs.
export function pico(amount) {
  const text = typeof amount === 'string' ? amount : amount.toFixed(12);
  const [whole, fraction = ''] = text.split('.');
  return BigInt(whole + fraction.padEnd(12, '0'));
}

export function contains(text, part) {
  assert.ok(text?.includes(part), `${JSON.stringify(part)} is not in ${JSON.stringify(text)}`);
}

// The sum of several usages.
export function total(...usages) {
  return usages.reduce((sum, usage) => sum.map((value, index) => value + usage[index]));
}

// The exception that a call throws, which passes the test.
export async function raises(call, test) {
  let thrown;
  try {
    await call();
  } catch (error) {
    thrown = error;
  }
  assert.ok(thrown !== undefined, 'nothing was thrown');
  assert.ok(test(thrown), `${thrown?.constructor?.name}, ${thrown?.status ?? thrown?.statusCode}: ${thrown?.message}`);
  return thrown;
}

// Compares what the bill grew by with what the SDK reports. Of a cancelled stream there has to be something, and where
// an SDK says nothing of the usage too.
async function grownBy(before, used) {
  if (used === 'cancelled' || used === 'unknown') {
    const deadline = Date.now() + 10_000;
    while (Date.now() < deadline) {
      if ((await bill())[0] > before[0]) return;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    assert.fail('nothing of it is in the bill');
  }
  const said = used ?? [0, 0, 0n];
  // Most SDKs do not know what it cost.
  const grown = (await bill()).map((value, index) => value - before[index]).slice(0, said.length);
  assert.deepEqual(said, grown, `the SDK reports ${said}, and the bill grew by ${grown}`);
}

// Runs [name, models, function]; arguments of the command line choose names and models.
export async function run(cases) {
  const chosen = new Set(process.argv.slice(2));
  for (const [name, models, test] of cases) {
    for (const model of models) {
      if (chosen.size > 0 && !chosen.has(name) && !chosen.has(model)) continue;
      const line = { case: name, model, ok: true, detail: '' };
      try {
        const before = await bill();
        await grownBy(before, await test(model));
      } catch (error) {
        line.ok = false;
        line.detail = `${error?.name}: ${error?.message}`.slice(0, 1500);
        if (chosen.size > 0) console.error(error);
      }
      console.log(JSON.stringify(line));
    }
  }
}

// The list of all cases, from the functions that do them.
export function all(cases) {
  return [
    ['plain', MODELS, cases.plain],
    ['stream', MODELS, cases.stream],
    ['tools', MODELS, cases.tools],
    ['tools_stream', MODELS, cases.toolsStream],
    ['parallel_tools', MODELS, cases.parallelTools],
    ['structured', MODELS, cases.structured],
    ['structured_stream', MODELS, cases.structuredStream],
    ['image', SEEING, cases.image],
    ['image', BLIND, cases.imageRefused],
    ['thinking', THINKING, cases.thinking],
    ['thinking_stream', THINKING, cases.thinkingStream],
    ['bad_key', MODELS, cases.badKey],
    ['unknown_model', MODELS, cases.unknownModel],
    ['bad_request', MODELS, cases.badRequest],
    ['rate_limit', MODELS, cases.rateLimit],
    ['server_error', MODELS, cases.serverError],
    ['cancel', MODELS, cases.cancel],
  ];
}
