// What comes of some calls, one after the other, of a vendor's SDK for Node on its defaults; prints it as JSON.
//
//     node outcomes.mjs VENDOR BASE_URL KEY [MODEL CONTENT]...

import Anthropic from "@anthropic-ai/sdk";
import OpenAI from "openai";

const [vendor, baseURL, apiKey, ...calls] = process.argv.slice(2);

async function openai(model, messages) {
  const answer = await new OpenAI({ apiKey, baseURL }).chat.completions.create({ model, messages });
  return answer.choices[0].message.content;
}

async function anthropic(model, messages) {
  const client = new Anthropic({ apiKey, baseURL });
  let text = "";
  for await (const event of await client.messages.create({ model, max_tokens: 50, messages, stream: true })) {
    text += event.type === "content_block_delta" ? event.delta.text : "";
  }
  return text;
}

async function outcome(model, content) {
  try {
    return await (vendor === "openai" ? openai : anthropic)(model, [{ role: "user", content }]);
  } catch (error) {
    return `${error.constructor.name} ${error.status}`;
  }
}

const outcomes = [];
for (let at = 0; at < calls.length; at += 2) {
  outcomes.push(await outcome(calls[at], calls[at + 1]));
}
console.log(JSON.stringify(outcomes));
