// The stock Node client against a gateway: plain, streamed with usage, a stream that is left, and an error.
// Usage: node openai_client.mjs BASE_URL API_KEY MODEL; prints one JSON object.
import OpenAI from "openai";

const [baseURL, apiKey, model] = process.argv.slice(2);
const client = new OpenAI({ baseURL, apiKey, maxRetries: 1 });
const messages = [{ role: "user", content: "What is the capital of Japan?" }];
const options = { model, messages, max_tokens: 24, temperature: 0 };

const plain = await client.chat.completions.create(options);

let streamed = "";
let usage = null;
for await (const chunk of await client.chat.completions.create({
  ...options, stream: true, stream_options: { include_usage: true },
})) {
  streamed += chunk.choices[0]?.delta?.content ?? "";
  usage = chunk.usage ?? usage;
}

let read = 0;
for await (const _ of await client.chat.completions.create({ ...options, stream: true })) {
  if (++read === 2) break;
}

let refused = null;
try {
  await client.chat.completions.create({ ...options, model: "no-such-model" });
} catch (error) {
  refused = { name: error.constructor.name, status: error.status, code: error.code };
}

const models = (await client.models.list()).data.map((each) => each.id);
console.log(JSON.stringify({
  plain: plain.choices[0].message.content, streamed, tokens: usage?.total_tokens, read, refused, models,
}));
