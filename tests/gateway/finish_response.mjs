// The stock Node client follows the stream of a response to its end.
// Usage: node finish_response.mjs BASE_URL API_KEY MODEL; prints the response as JSON.
import OpenAI from "openai";

const [baseURL, apiKey, model] = process.argv.slice(2);
const client = new OpenAI({ baseURL, apiKey, maxRetries: 0 });
const made = await client.responses.stream({ model, input: "hi" }).finalResponse();
console.log(JSON.stringify(made));
