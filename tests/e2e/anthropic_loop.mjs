// A loop of tools through Anthropic's TypeScript client, streamed and not. Prints what the model said and what was read.
// Arguments: the client's folder, the server's address, "stream" or "whole".
import { createRequire } from "node:module";
import path from "node:path";

const [folder, baseURL, mode] = process.argv.slice(2);
const { default: Anthropic } = createRequire(path.join(folder, "package.json"))("@anthropic-ai/sdk");
const client = new Anthropic({ baseURL, apiKey: "any", maxRetries: 0 });

const tools = [
  {
    name: "get_weather",
    description: "Weather",
    input_schema: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
  },
];
const degrees = { Oslo: 4, Rome: 21 };

async function send(messages) {
  const request = { model: "default", max_tokens: 32000, messages, tools };
  if (mode === "whole") return client.messages.create(request, { timeout: 60000 });
  return client.messages.stream(request).finalMessage();
}

const messages = [];
const turns = [];
for (const question of ["The weather in two cities?", "And again, two cities?"]) {
  messages.push({ role: "user", content: question });
  for (let step = 0; step < 5; ++step) {
    const counted = await client.messages.countTokens({ model: "default", messages, tools });
    const answer = await send(messages);
    const usage = answer.usage;
    turns.push({
      reason: answer.stop_reason,
      texts: answer.content.filter((block) => block.type === "text").map((block) => block.text),
      inputs: answer.content.filter((block) => block.type === "tool_use").map((block) => block.input),
      counted: counted.input_tokens,
      total: usage.input_tokens + usage.cache_read_input_tokens + usage.cache_creation_input_tokens,
      read: usage.cache_read_input_tokens,
      output: usage.output_tokens,
    });
    messages.push({ role: "assistant", content: answer.content });
    const uses = answer.content.filter((block) => block.type === "tool_use");
    if (uses.length === 0) break;
    const results = uses.map((use) => ({
      type: "tool_result",
      tool_use_id: use.id,
      content: `${degrees[use.input.city]} degrees`,
    }));
    messages.push({ role: "user", content: results });
  }
}
console.log(JSON.stringify(turns));
